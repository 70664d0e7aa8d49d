"""The gate's thresholds beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compressor_lib.deployment import phrases
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.judged import Judged


@dataclass(frozen=True)
class Threshold:
    """One threshold of the gate.

    Attributes:
        field: Of the configuration.
        asked: What it asks for.
        measured: What was measured, with its count and interval.
        is_kept: Whether that suffices.
    """

    field: str
    asked: str
    measured: str
    is_kept: bool


def thresholds(verdict: Verdict) -> Iterator[Threshold]:
    """Holds each threshold of a gate against what was measured of the model."""
    bounds, overall = verdict.bounds, verdict.overall
    yield Threshold(
        "gate.min_accuracy",
        f"at least {phrases.percent(bounds.min_accuracy)}",
        phrases.accuracy(overall),
        bounds.keeps(overall.accuracy, bounds.min_accuracy),
    )
    if overall.change is not None:
        yield Threshold(
            "gate.max_drop",
            f"a loss of at most {100 * bounds.max_drop:g} points against the baseline",
            phrases.compared(overall.change),
            bounds.keeps(overall.change, -bounds.max_drop),
        )
    if bounds.max_class_drop is not None and (worst := _worst(verdict)) and worst.change:
        yield Threshold(
            "gate.max_class_drop",
            f"a loss of at most {100 * bounds.max_class_drop:g} points in any class",
            f"class {worst.name}: {phrases.compared(worst.change)}; {phrases.accuracy(worst)}",
            bounds.keeps(worst.change, -bounds.max_class_drop),
        )


def decides(verdict: Verdict) -> str:
    """Says which end of a figure is held against its threshold, and how sure the intervals are."""
    sure = phrases.percent(verdict.confidence_shown, decimals=None)
    if verdict.bounds.confidence is None:
        return f"What was measured decides; intervals of {sure} confidence show how far chance reaches."
    return f"The lower end of each interval decides, with {sure} confidence."


def _worst(verdict: Verdict) -> Judged | None:
    """The class that the gate looks at most closely."""
    changed = [one for one in verdict.classes if one.change is not None]
    return min(changed, key=lambda one: verdict.bounds.decisive(one.change), default=None)  # type: ignore[arg-type]
