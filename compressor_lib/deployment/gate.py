"""The gate: whether a compressed model is good enough, told with its reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compressor_lib.deployment import phrases
from compressor_lib.deployment.intervals import CONFIDENCE, Interval, PairedCounts, share_interval
from compressor_lib.deployment.judged import Judged
from compressor_lib.errors import CompressorError

MAX_CONVERSION_LOSS = 0.015
"""A format that surely loses more accuracy than this by its conversion is warned of."""

_ROUNDING = 1e-6
"""Accuracies are float32: a difference this small is none."""

_MOST_CLASSES = 5
"""So many of the classes that fail are named."""


@dataclass(frozen=True)
class Bounds:
    """What the gate asks for.

    Attributes:
        min_accuracy: Least accuracy.
        max_drop: Most accuracy lost against the baseline.
        max_class_drop: Likewise in any one class; None: any loss.
        confidence: The lower end of the interval with this confidence must keep each threshold; None: what was
            measured must.
    """

    min_accuracy: float
    max_drop: float
    max_class_drop: float | None = None
    confidence: float | None = None

    def decisive(self, figure: Interval) -> float:
        """What the gate holds against a threshold: what was measured, or the lower end of its interval."""
        return figure.value if self.confidence is None else figure.low

    def keeps(self, figure: Interval, threshold: float) -> bool:
        """Whether a figure is as high as a threshold asks for; what is no number is not."""
        return self.decisive(figure) >= threshold - _ROUNDING


@dataclass(frozen=True)
class FormatVerdict:
    """What the gate says of one TFLite model of a compressed model.

    Attributes:
        overall: The TFLite model on all test images.
        classes: And on those of each class.
        reasons: Why it does not pass, a sentence each; empty where it does.
        conversion: From the SavedModel's accuracy to the TFLite model's, image by image; None where not compared.
    """

    overall: Judged
    classes: list[Judged]
    reasons: list[str]
    conversion: Interval | None = None

    @property
    def blessed(self) -> bool:
        """Whether it passes."""
        return not self.reasons

    @property
    def is_lossy(self) -> bool:
        """Whether the conversion surely lost more than :data:`MAX_CONVERSION_LOSS`."""
        return self.conversion is not None and self.conversion.high < -MAX_CONVERSION_LOSS


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a model.

    To ask each of several classes for the same confidence takes no correction for their number: a model passes only
    if all of them do (an intersection-union test: Berger, Technometrics 24, 1982), so a pass is as sure as one is.

    Attributes:
        bounds: What was asked for.
        overall: The model on all test images.
        classes: And on those of each class, in the order of the model's answers.
        model_sha256: SHA-256 of the model's files, as the caller computed it.
        reasons: Why it does not pass, a sentence each; empty where it does.
        formats: What it says of each TFLite model, by precision.
        notes: What else there is to know, a sentence each, such as classes that the baseline does not have.
        not_converted: Why there is no TFLite model to judge, by precision: those that were asked for and have none.
    """

    bounds: Bounds
    overall: Judged
    classes: list[Judged]
    model_sha256: str
    reasons: list[str]
    formats: dict[str, FormatVerdict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    not_converted: dict[str, str] = field(default_factory=dict)

    @property
    def blessed(self) -> bool:
        """Whether it passes."""
        return not self.reasons

    @property
    def confidence_shown(self) -> float:
        """Of the intervals."""
        return confidence_shown(self.bounds)

    @property
    def worst_class(self) -> Judged | None:
        """The class that loses most; None without a baseline."""
        return min(_changed(self.classes), key=lambda one: one.change.value, default=None)  # type: ignore[union-attr]

    @property
    def failed(self) -> dict[str, list[str]]:
        """The formats that fail the gate, with their reasons."""
        return {name: one.reasons for name, one in self.formats.items() if not one.blessed}

    @property
    def left_out(self) -> dict[str, list[str]]:
        """The formats that are not pushed, with their reasons: they fail the gate, or do not convert."""
        return self.failed | {name: [reason] for name, reason in self.not_converted.items()}

    def to_json(self) -> str:
        """All of it, as a JSON object."""
        return json.dumps({"blessed": self.blessed, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what :meth:`to_json` wrote, also before it had counts and formats.

        Raises:
            CompressorError: If it is no verdict.
        """
        try:
            fields = json.loads(text)
            bounds = Bounds(**fields["bounds"])
            return cls(
                bounds=bounds,
                overall=_judged(fields["overall"], bounds),
                classes=[_judged(one, bounds) for one in fields["classes"]],
                model_sha256=fields["model_sha256"],
                reasons=fields["reasons"],
                formats={name: _format_verdict(one, bounds) for name, one in fields.get("formats", {}).items()},
                notes=fields.get("notes", []),
                not_converted=fields.get("not_converted", {}),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CompressorError("this is not a verdict of this version's gate: evaluate the model again.") from error


def confidence_shown(bounds: Bounds) -> float:
    """Confidence of the intervals that are shown: the gate's, else 95 %."""
    return CONFIDENCE if bounds.confidence is None else bounds.confidence


def judge(
    bounds: Bounds,
    overall: Judged,
    classes: Sequence[Judged],
    model_sha256: str,
    *,
    formats: Mapping[str, FormatVerdict] | None = None,
    notes: Sequence[str] = (),
    not_converted: Mapping[str, str] | None = None,
) -> Verdict:
    """Holds what was measured against the bounds.

    Args:
        bounds: What is asked for.
        overall: The model on all test images.
        classes: And on those of each class.
        model_sha256: Of the model's files.
        formats: What :func:`judge_format` says of each TFLite model, by precision.
        notes: What else there is to know.
        not_converted: Why there is no TFLite model, by precision: those that have none.

    Example:
        >>> judge(Bounds(0.9, 0.02), Judged.counted("", images=50, right=40), [], "").reasons
        ['accuracy is 80.0 % (40 of 50, 67.0 to 88.8 %); the gate requires at least 90 %']
    """
    reasons = list(_reasons(bounds, overall, classes))
    return Verdict(
        bounds,
        overall,
        list(classes),
        model_sha256,
        reasons,
        dict(formats or {}),
        list(notes),
        dict(not_converted or {}),
    )


def judge_format(
    bounds: Bounds, overall: Judged, classes: Sequence[Judged], conversion: Interval | None = None
) -> FormatVerdict:
    """Holds one TFLite model against the same bounds.

    Args:
        bounds: What is asked for.
        overall: The TFLite model on all test images.
        classes: And on those of each class.
        conversion: From the SavedModel's accuracy to the TFLite model's.
    """
    return FormatVerdict(overall, list(classes), list(_reasons(bounds, overall, classes)), conversion)


def left_out_sentences(verdict: Verdict) -> list[str]:
    """Says which formats are not pushed, and why, once for those with one reason.

    Of a model that is refused nothing is pushed, so only those that do not convert are named.
    """
    alike: dict[str, list[str]] = {}
    for name, reasons in verdict.left_out.items():
        if verdict.blessed or name in verdict.not_converted:
            alike.setdefault("; ".join(reasons), []).append(name)
    return [
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not pushed: {reason}"
        for reason, names in alike.items()
    ]


def _reasons(bounds: Bounds, overall: Judged, classes: Sequence[Judged]) -> Iterator[str]:
    if not bounds.keeps(overall.accuracy, bounds.min_accuracy):
        yield (
            f"accuracy is {phrases.accuracy(overall)}; "
            f"the gate requires at least {phrases.percent(bounds.min_accuracy, decimals=None)}{_surely(bounds)}"
        )
    if overall.change and not bounds.keeps(overall.change, -bounds.max_drop):
        yield f"{_change(overall)}; the gate allows a drop of {_drop(bounds.max_drop, bounds)}"
    if bounds.max_class_drop is None:
        return
    failing = sorted(
        (one for one in _changed(classes) if one.change and not bounds.keeps(one.change, -bounds.max_class_drop)),
        key=lambda one: one.change.value,  # type: ignore[union-attr]
    )
    for one in failing[:_MOST_CLASSES]:
        yield (
            f"class {one.name} ({one.images} test images): {_change(one)}; "
            f"the gate allows a class a drop of {_drop(bounds.max_class_drop, bounds)}"
        )
    if len(failing) > _MOST_CLASSES:
        yield f"and likewise {len(failing) - _MOST_CLASSES} more classes"


def _change(judged: Judged) -> str:
    change = judged.change
    assert change is not None
    compared = judged.pairs.images if judged.pairs else judged.images
    on = "" if compared == judged.images else f", on {compared:,} images of classes that both have"
    return f"accuracy changes by {phrases.points(change)} against the baseline{on}"


def _drop(share: float, bounds: Bounds) -> str:
    return f"{100 * share:.4g} points{_surely(bounds)}"


def _surely(bounds: Bounds) -> str:
    return "" if bounds.confidence is None else f" with {phrases.percent(bounds.confidence, decimals=None)} confidence"


def _changed(classes: Sequence[Judged]) -> list[Judged]:
    return [one for one in classes if one.change is not None]


def _format_verdict(fields: dict[str, Any], bounds: Bounds) -> FormatVerdict:
    return FormatVerdict(
        overall=_judged(fields["overall"], bounds),
        classes=[_judged(one, bounds) for one in fields["classes"]],
        reasons=fields["reasons"],
        conversion=Interval(**fields["conversion"]) if fields.get("conversion") else None,
    )


def _judged(fields: dict[str, Any], bounds: Bounds) -> Judged:
    if "right" not in fields:
        return _judged_without_counts(fields, bounds)
    figures = {
        name: Interval(**fields[name]) for name in ("accuracy", "baseline", "change") if fields[name] is not None
    }
    pairs = PairedCounts(**fields["pairs"]) if fields.get("pairs") else None
    return Judged(fields["name"], fields["images"], fields["right"], **figures, pairs=pairs)


def _judged_without_counts(fields: dict[str, Any], bounds: Bounds) -> Judged:
    """What was written before there were counts, with intervals where it had none."""
    name, images, confidence = fields["name"], fields["images"], confidence_shown(bounds)
    right = round(fields["accuracy"]["value"] * images)
    judged = Judged.counted(name, images=images, right=right, confidence=confidence)
    if not fields["baseline"] or not fields["change"]:
        return judged
    baseline = share_interval(round(fields["baseline"]["value"] * images), images, confidence)
    change = fields["change"]
    if change["low"] is None:
        # The images were not counted in pairs: Newcombe's interval for two samples, which is wider (method 10, 1998).
        accuracy, value = judged.accuracy, change["value"]
        low = value - math.hypot(accuracy.value - accuracy.low, baseline.high - baseline.value)
        high = value + math.hypot(accuracy.high - accuracy.value, baseline.value - baseline.low)
        change = {"value": value, "low": low, "high": high}
    return Judged(name, images, right, judged.accuracy, baseline, Interval(**change))
