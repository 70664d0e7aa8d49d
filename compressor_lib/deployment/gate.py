"""The gate: decides whether a compressed model is good enough, and gives the reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.intervals import CONFIDENCE, Interval, PairedCounts, share_interval
from compressor_lib.errors import CompressorError
from compressor_lib.options import Options, option

MAX_CONVERSION_LOSS = 0.015
"""A format whose conversion loses more accuracy than this, with confidence, gets a warning."""

_ROUNDING = 1e-6
"""Accuracies are float32; smaller differences are ignored."""

_MOST_CLASSES = 5
"""Maximum number of failing classes that are listed."""


@dataclass(frozen=True)
class Thresholds(Options):
    """The thresholds of the gate, on images of the test split.

    Attributes:
        min_accuracy: Minimum accuracy.
        max_drop: Maximum drop in accuracy from the baseline.
        max_class_drop: Maximum drop in accuracy from the baseline in any class with images in the test split; null: no
            limit.
        confidence: Each threshold must hold at the lower end of the confidence interval of this level, such as 0.95.
            Small test splits or classes seldom suffice for tight thresholds. null: the measured value must meet the
            threshold.

    Raises:
        CompressorError: If a value is out of range.
    """

    min_accuracy: float = option(0.5, ge=0, le=1)
    max_drop: float = option(0.02, ge=0, le=1)
    max_class_drop: float | None = option(None, ge=0, le=1)
    confidence: float | None = option(None, ge=0.5, lt=1)

    def decisive(self, figure: Interval) -> float:
        """Returns the value to compare with a threshold: the measured value or the lower end of its interval."""
        return figure.value if self.confidence is None else figure.low

    def is_met(self, figure: Interval, threshold: float) -> bool:
        """Returns whether a figure meets a threshold. NaN does not."""
        return self.decisive(figure) >= threshold - _ROUNDING


@dataclass(frozen=True)
class FormatVerdict:
    """The gate's verdict on one TFLite model of a compressed model.

    Attributes:
        overall: Result of the TFLite model on all test images.
        classes: Results on the test images of each class.
        reasons: Reasons why the model fails, one sentence each; empty if it passes.
        conversion: Change from the SavedModel's accuracy to the TFLite model's, paired by image; None if not compared.
    """

    overall: EvalResult
    classes: list[EvalResult]
    reasons: list[str]
    conversion: Interval | None = None

    @property
    def blessed(self) -> bool:
        """Whether the model passes."""
        return not self.reasons

    @property
    def is_lossy(self) -> bool:
        """Whether the conversion lost more than :data:`MAX_CONVERSION_LOSS`, with confidence."""
        return self.conversion is not None and self.conversion.high < -MAX_CONVERSION_LOSS


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a model.

    Requiring the same confidence for each of several classes needs no correction for their number. A model passes only
    if all classes pass (an intersection-union test: Berger, Technometrics 24, 1982), so the confidence of a pass is
    that of a single test.

    Attributes:
        thresholds: The thresholds.
        overall: Result of the model on all test images.
        classes: Results on the test images of each class, in the order of the model's outputs.
        model_sha256: SHA-256 of the model's files, as computed by the caller.
        reasons: Reasons why the model fails, one sentence each; empty if it passes.
        formats: Verdict on each TFLite model, by precision.
        notes: Additional remarks, one sentence each, such as classes that the baseline does not have.
        not_converted: Reasons for missing TFLite models, by requested precision.
    """

    thresholds: Thresholds
    overall: EvalResult
    classes: list[EvalResult]
    model_sha256: str
    reasons: list[str]
    formats: dict[str, FormatVerdict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    not_converted: dict[str, str] = field(default_factory=dict)

    @property
    def blessed(self) -> bool:
        """Whether the model passes."""
        return not self.reasons

    @property
    def confidence_shown(self) -> float:
        """Confidence of the intervals to be shown."""
        return confidence_shown(self.thresholds)

    @property
    def worst_class(self) -> EvalResult | None:
        """The class that loses the most accuracy; None without a baseline."""
        return min(_changed(self.classes), key=lambda one: one.change.value, default=None)  # type: ignore[union-attr]

    @property
    def failed(self) -> dict[str, list[str]]:
        """Reasons of the formats that fail the gate, by format."""
        return {name: one.reasons for name, one in self.formats.items() if not one.blessed}

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Reasons of the formats that are not pushed, by format: those that fail the gate or do not convert."""
        return self.failed | {name: [reason] for name, reason in self.not_converted.items()}

    def to_json(self) -> str:
        """Returns the verdict as a JSON object."""
        return json.dumps({"blessed": self.blessed, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads a verdict written by :meth:`to_json`, including those of older releases.

        Raises:
            CompressorError: If the text is not a verdict.
        """
        try:
            fields = json.loads(text)
            thresholds = Thresholds(**fields["thresholds"])
            return cls(
                thresholds=thresholds,
                overall=_result(fields["overall"], thresholds),
                classes=[_result(one, thresholds) for one in fields["classes"]],
                model_sha256=fields["model_sha256"],
                reasons=fields["reasons"],
                formats={name: _format_verdict(one, thresholds) for name, one in fields.get("formats", {}).items()},
                notes=fields.get("notes", []),
                not_converted=fields.get("not_converted", {}),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CompressorError("this is not a verdict of this version's gate: evaluate the model again.") from error


def confidence_shown(thresholds: Thresholds) -> float:
    """Returns the confidence of the intervals to be shown: the gate's, or 95 % by default."""
    return CONFIDENCE if thresholds.confidence is None else thresholds.confidence


def judge(
    thresholds: Thresholds,
    overall: EvalResult,
    classes: Sequence[EvalResult],
    model_sha256: str,
    *,
    formats: Mapping[str, FormatVerdict] | None = None,
    notes: Sequence[str] = (),
    not_converted: Mapping[str, str] | None = None,
) -> Verdict:
    """Compares the results of a model with the thresholds.

    Args:
        thresholds: The thresholds.
        overall: Result of the model on all test images.
        classes: Results on the test images of each class.
        model_sha256: Hash of the model's files.
        formats: Verdict of :func:`judge_format` on each TFLite model, by precision.
        notes: Additional remarks.
        not_converted: Reasons for missing TFLite models, by precision.

    Example:
        >>> judge(Thresholds(0.9, 0.02), EvalResult.from_counts("", images=50, right=40), [], "").reasons
        ['accuracy is 80.0 % (40 of 50, 67.0 to 88.8 %); the gate requires at least 90 %']
    """
    reasons = list(_reasons(thresholds, overall, classes))
    return Verdict(
        thresholds,
        overall,
        list(classes),
        model_sha256,
        reasons,
        dict(formats or {}),
        list(notes),
        dict(not_converted or {}),
    )


def judge_format(
    thresholds: Thresholds, overall: EvalResult, classes: Sequence[EvalResult], conversion: Interval | None = None
) -> FormatVerdict:
    """Compares the results of one TFLite model with the thresholds.

    Args:
        thresholds: The thresholds.
        overall: Result of the TFLite model on all test images.
        classes: Results on the test images of each class.
        conversion: Change from the SavedModel's accuracy to the TFLite model's.
    """
    return FormatVerdict(overall, list(classes), list(_reasons(thresholds, overall, classes)), conversion)


def left_out_sentences(verdict: Verdict) -> list[str]:
    """Returns sentences on the formats that are not pushed, one for each distinct reason.

    If the model fails, nothing is pushed, so only formats that do not convert are mentioned.
    """
    alike: dict[str, list[str]] = {}
    for name, reasons in verdict.left_out.items():
        if verdict.blessed or name in verdict.not_converted:
            alike.setdefault("; ".join(reasons), []).append(name)
    return [
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not pushed: {reason}"
        for reason, names in alike.items()
    ]


def _reasons(thresholds: Thresholds, overall: EvalResult, classes: Sequence[EvalResult]) -> Iterator[str]:
    if not thresholds.is_met(overall.accuracy, thresholds.min_accuracy):
        yield (
            f"accuracy is {phrases.accuracy(overall)}; "
            f"the gate requires at least {phrases.percent(thresholds.min_accuracy, decimals=None)}"
            f"{_with_confidence(thresholds)}"
        )
    if overall.change and not thresholds.is_met(overall.change, -thresholds.max_drop):
        yield f"{_change(overall)}; the gate allows a drop of {_drop(thresholds.max_drop, thresholds)}"
    if thresholds.max_class_drop is None:
        return
    failing = sorted(
        (
            one
            for one in _changed(classes)
            if one.change and not thresholds.is_met(one.change, -thresholds.max_class_drop)
        ),
        key=lambda one: one.change.value,  # type: ignore[union-attr]
    )
    for one in failing[:_MOST_CLASSES]:
        yield (
            f"class {one.name} ({one.images} test images): {_change(one)}; "
            f"the gate allows a drop of {_drop(thresholds.max_class_drop, thresholds)} in any class"
        )
    if len(failing) > _MOST_CLASSES:
        yield f"and {len(failing) - _MOST_CLASSES} more classes lose too much accuracy"


def _change(result: EvalResult) -> str:
    change = result.change
    assert change is not None
    compared = result.pairs.images if result.pairs else result.images
    on = "" if compared == result.images else f", on {compared:,} images of classes that both models have"
    return f"accuracy changes by {phrases.points(change)} against the baseline{on}"


def _drop(share: float, thresholds: Thresholds) -> str:
    return f"{100 * share:.4g} points{_with_confidence(thresholds)}"


def _with_confidence(thresholds: Thresholds) -> str:
    if thresholds.confidence is None:
        return ""
    return f" with {phrases.percent(thresholds.confidence, decimals=None)} confidence"


def _changed(classes: Sequence[EvalResult]) -> list[EvalResult]:
    return [one for one in classes if one.change is not None]


def _format_verdict(fields: dict[str, Any], thresholds: Thresholds) -> FormatVerdict:
    return FormatVerdict(
        overall=_result(fields["overall"], thresholds),
        classes=[_result(one, thresholds) for one in fields["classes"]],
        reasons=fields["reasons"],
        conversion=Interval(**fields["conversion"]) if fields.get("conversion") else None,
    )


def _result(fields: dict[str, Any], thresholds: Thresholds) -> EvalResult:
    if "right" not in fields:
        return _result_without_counts(fields, thresholds)
    figures = {
        name: Interval(**fields[name]) for name in ("accuracy", "baseline", "change") if fields[name] is not None
    }
    pairs = PairedCounts(**fields["pairs"]) if fields.get("pairs") else None
    return EvalResult(fields["name"], fields["images"], fields["right"], **figures, pairs=pairs)


def _result_without_counts(fields: dict[str, Any], thresholds: Thresholds) -> EvalResult:
    """Reads a result written before counts were stored, and adds missing confidence intervals."""
    name, images, confidence = fields["name"], fields["images"], confidence_shown(thresholds)
    right = round(fields["accuracy"]["value"] * images)
    result = EvalResult.from_counts(name, images=images, right=right, confidence=confidence)
    if not fields["baseline"] or not fields["change"]:
        return result
    baseline = share_interval(round(fields["baseline"]["value"] * images), images, confidence)
    change = fields["change"]
    if change["low"] is None:
        # Without paired counts: Newcombe's interval for two samples, which is wider (method 10, 1998).
        accuracy, value = result.accuracy, change["value"]
        low = value - math.hypot(accuracy.value - accuracy.low, baseline.high - baseline.value)
        high = value + math.hypot(accuracy.high - accuracy.value, baseline.value - baseline.low)
        change = {"value": value, "low": low, "high": high}
    return EvalResult(name, images, right, result.accuracy, baseline, Interval(**change))
