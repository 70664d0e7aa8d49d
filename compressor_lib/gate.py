"""The gate: whether a compressed model is good enough, told with its reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_ROUNDING = 1e-6
"""Accuracies are float32: a difference this small is none."""

_MOST_CLASSES = 5
"""So many of the classes that fail are named."""


@dataclass(frozen=True)
class Figure:
    """An accuracy, or a change of one, as shares of 1.

    Attributes:
        value: What was measured.
        low: What the truth is, with the gate's confidence, not below; None where the gate asks for none.
        high: Likewise, not above.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def at_least(self) -> float:
        """What the gate takes it for."""
        return self.value if self.low is None else self.low


@dataclass(frozen=True)
class Judged:
    """How a model did on some pictures.

    Attributes:
        name: The class of the pictures; empty: all of them.
        pictures: How many they are.
        accuracy: Of the model.
        baseline: Accuracy of the model it is compared with; None where there is none.
        change: From the baseline's accuracy to the model's, picture by picture; likewise.
    """

    name: str
    pictures: int
    accuracy: Figure
    baseline: Figure | None = None
    change: Figure | None = None


@dataclass(frozen=True)
class Bounds:
    """What the gate asks for.

    Attributes:
        min_accuracy: Least accuracy.
        max_drop: Most accuracy lost against the baseline.
        per_class: Likewise in any one class; None: any loss.
        confidence: How sure it must be that a bound is kept; None: what was measured decides.
    """

    min_accuracy: float
    max_drop: float
    per_class: float | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a model.

    To ask each of several classes for the same confidence takes no correction for their number: a model passes only
    if all of them do (an intersection-union test: Berger, Technometrics 24, 1982), so a pass is as sure as one is.

    Attributes:
        bounds: What was asked for.
        overall: The model on all test pictures.
        classes: And on those of each class, in the order of the model's answers.
        model_sha256: Of the model's files, as :func:`components.model_files.files_sha256` tells it.
        reasons: Why it does not pass, a sentence each; empty where it does.
    """

    bounds: Bounds
    overall: Judged
    classes: list[Judged]
    model_sha256: str
    reasons: list[str]

    @property
    def blessed(self) -> bool:
        """Whether it passes."""
        return not self.reasons

    @property
    def worst_class(self) -> Judged | None:
        """The class that loses most; None without a baseline."""
        return min(_changed(self.classes), key=lambda one: one.change.value, default=None)  # type: ignore[union-attr]

    def to_json(self) -> str:
        """All of it, as a JSON object."""
        return json.dumps({"blessed": self.blessed, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Reads what :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(
            bounds=Bounds(**fields["bounds"]),
            overall=_judged(fields["overall"]),
            classes=[_judged(one) for one in fields["classes"]],
            model_sha256=fields["model_sha256"],
            reasons=fields["reasons"],
        )


def judge(bounds: Bounds, overall: Judged, classes: Sequence[Judged], model_sha256: str) -> Verdict:
    """Holds what was measured against the bounds.

    Args:
        bounds: What is asked for.
        overall: The model on all test pictures.
        classes: And on those of each class.
        model_sha256: Of the model's files.

    Example:
        >>> judge(Bounds(min_accuracy=0.9, max_drop=0.02), Judged("", 50, Figure(0.8)), [], "").reasons
        ['accuracy is 80.00%; gate.min_accuracy asks for 90.00%']
    """
    return Verdict(bounds, overall, list(classes), model_sha256, list(_reasons(bounds, overall, classes)))


def _reasons(bounds: Bounds, overall: Judged, classes: Sequence[Judged]) -> Iterator[str]:
    surely = "" if bounds.confidence is None else f", with {100 * bounds.confidence:g}% confidence at least "
    accuracy = overall.accuracy
    if _below(accuracy, bounds.min_accuracy):
        at_least = surely and f"{surely}{accuracy.at_least:.2%}"
        yield f"accuracy is {accuracy.value:.2%}{at_least}; gate.min_accuracy asks for {bounds.min_accuracy:.2%}"
    if overall.change and _below(overall.change, -bounds.max_drop):
        yield f"{_change(overall.change, surely)}; gate.max_drop allows a drop of {100 * bounds.max_drop:.2f}"
    if bounds.per_class is None:
        return
    failing = sorted(
        (one for one in _changed(classes) if _below(one.change, -bounds.per_class)),
        key=lambda one: one.change.at_least,  # type: ignore[union-attr]
    )
    for one in failing[:_MOST_CLASSES]:
        assert one.change is not None
        yield (
            f"class {one.name} ({one.pictures} test pictures): {_change(one.change, surely)}; "
            f"gate.per_class allows a drop of {100 * bounds.per_class:.2f}"
        )
    if len(failing) > _MOST_CLASSES:
        yield f"and likewise {len(failing) - _MOST_CLASSES} more classes"


def _below(figure: Figure | None, bound: float) -> bool:
    return figure is not None and not figure.at_least >= bound - _ROUNDING


def _change(change: Figure, surely: str) -> str:
    at_least = surely and f"{surely}{100 * change.at_least:+.2f}"
    return f"accuracy changes by {100 * change.value:+.2f} points against the baseline{at_least}"


def _changed(classes: Sequence[Judged]) -> list[Judged]:
    return [one for one in classes if one.change is not None]


def _judged(fields: dict[str, Any]) -> Judged:
    figures = {name: Figure(**fields[name]) for name in ("accuracy", "baseline", "change") if fields[name] is not None}
    return Judged(name=fields["name"], pictures=fields["pictures"], **figures)
