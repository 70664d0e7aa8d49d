"""The gate's thresholds and the measured values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Verdict


@dataclass(frozen=True)
class Threshold:
    """One threshold of the gate.

    Attributes:
        field: Field of the configuration.
        asked: The required value.
        measured: The measured value, with its count and interval.
        is_kept: Whether the measured value meets the threshold.
    """

    field: str
    asked: str
    measured: str
    is_kept: bool


def threshold_rows(verdict: Verdict) -> Iterator[Threshold]:
    """Yields each threshold of the gate with the measured value of the model."""
    thresholds, overall = verdict.thresholds, verdict.overall
    yield Threshold(
        "gate.min_accuracy",
        f"at least {phrases.percent(thresholds.min_accuracy)}",
        phrases.accuracy(overall),
        thresholds.is_met(overall.accuracy, thresholds.min_accuracy),
    )
    if overall.change is not None:
        yield Threshold(
            "gate.max_drop",
            f"a loss of at most {100 * thresholds.max_drop:g} points against the baseline",
            phrases.compared(overall.change),
            thresholds.is_met(overall.change, -thresholds.max_drop),
        )
    if thresholds.max_class_drop is not None and (worst := _worst(verdict)) and worst.change:
        yield Threshold(
            "gate.max_class_drop",
            f"a loss of at most {100 * thresholds.max_class_drop:g} points in any class",
            f"class {worst.name}: {phrases.compared(worst.change)}; {phrases.accuracy(worst)}",
            thresholds.is_met(worst.change, -thresholds.max_class_drop),
        )


def decides(verdict: Verdict) -> str:
    """Returns a sentence on which value is compared with the thresholds, and the confidence of the intervals."""
    confidence = phrases.percent(verdict.confidence_shown, decimals=None)
    if verdict.thresholds.confidence is None:
        return f"The measured values decide; the intervals have {confidence} confidence."
    return f"The lower end of each interval decides, with {confidence} confidence."


def _worst(verdict: Verdict) -> EvalResult | None:
    """Returns the class that is closest to failing, or has failed by most."""
    changed = [one for one in verdict.classes if one.change is not None]
    return min(changed, key=lambda one: verdict.thresholds.decisive(one.change), default=None)  # type: ignore[arg-type]
