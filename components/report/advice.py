"""Advice on a verdict, given only if the data supports it.

If the reference model does not meet the threshold either, compression is not the cause. If the test split is too small
to decide, the advice says how many images are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.intervals import Interval

MOST_IMAGES = 100_000
"""Test splits larger than this are not recommended."""

_MOST_CLASSES = 3


def advice(verdict: Verdict, reference: EvalResult, *, has_budgets: bool = False) -> list[str]:
    """Returns advice on a verdict.

    Args:
        verdict: The gate's verdict.
        reference: Result of the run's reference model on the test split, compared with the gate's baseline like the
            model.
        has_budgets: Whether the search had budgets.

    Returns:
        Sentences, the most important first; empty if everything passed.
    """
    found = [] if verdict.blessed else _refused(verdict, reference, has_budgets)
    return list(dict.fromkeys([*found, *_formats(verdict)]))


def images_to_decide(figure: Interval, threshold: float, images: int) -> int | None:
    """Returns the number of test images needed to decide on which side of a threshold a figure is.

    An interval's width shrinks with the square root of the number of images.

    Args:
        figure: The measured figure and its interval.
        threshold: The threshold.
        images: Number of images on which the figure was measured.

    Returns:
        The number, rounded up to two digits; None if it exceeds ``MOST_IMAGES``.

    Example:
        >>> images_to_decide(Interval(0.95, 0.90, 0.98), 0.925, 100)
        400
    """
    distance = abs(figure.value - threshold)
    reach = figure.value - figure.low if figure.value > threshold else figure.high - figure.value
    if distance * math.sqrt(MOST_IMAGES / images) < reach:
        return None
    needed = max(images + 1.0, images * (reach / distance) ** 2)
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(round(needed / step, 6)) * step


def _refused(verdict: Verdict, reference: EvalResult, has_budgets: bool) -> list[str]:
    thresholds, model = verdict.thresholds, verdict.overall
    if (
        not thresholds.is_met(model.accuracy, thresholds.min_accuracy)
        and reference.accuracy.value < thresholds.min_accuracy
    ):
        return [
            f"The reference model itself reaches {phrases.accuracy(reference)}, and gate.min_accuracy requires "
            f"{phrases.percent(thresholds.min_accuracy)}: compression is not the cause. Add images, improve "
            "labels, raise reference.epochs, use a larger backbone, or lower gate.min_accuracy."
        ]
    return [
        *_about_accuracy(verdict, has_budgets),
        *_about_drop(verdict, reference, has_budgets),
        *_about_classes(verdict),
    ]


def _about_accuracy(verdict: Verdict, has_budgets: bool) -> Iterator[str]:
    figure, threshold = verdict.overall.accuracy, verdict.thresholds.min_accuracy
    if verdict.thresholds.is_met(figure, threshold):
        return
    if _holds(figure, threshold):
        yield _undecided("the accuracy", "gate.min_accuracy", figure, threshold, verdict.overall.images)
    if figure.value < threshold:
        yield f"The reference model reaches gate.min_accuracy and the compressed model does not: {_keep(has_budgets)}."


def _about_drop(verdict: Verdict, reference: EvalResult, has_budgets: bool) -> Iterator[str]:
    change, threshold = verdict.overall.change, -verdict.thresholds.max_drop
    if change is None or verdict.thresholds.is_met(change, threshold):
        return
    if _holds(change, threshold):
        compared = verdict.overall.pairs.images if verdict.overall.pairs else verdict.overall.images
        yield _undecided("the change", "gate.max_drop", change, threshold, compared)
    if change.value >= threshold:
        return
    both = reference.compared(verdict.confidence_shown)
    if both and reference.change and reference.change.value < threshold:
        theirs, ours = map(phrases.accuracy, both)
        on = "" if both[0].images == reference.images else ", on the images of classes that both models have"
        yield (
            f"The reference model itself, {ours}, is just as far below the gate's baseline, {theirs}{on}: compression "
            "is not the cause. Check the new images and their labels, or raise reference.epochs."
        )
    else:
        yield f"Compression costs more than gate.max_drop allows: {_keep(has_budgets)}, or raise gate.max_drop."


def _about_classes(verdict: Verdict) -> Iterator[str]:
    allowed = verdict.thresholds.max_class_drop
    if allowed is None:
        return
    failing = [one for one in verdict.classes if one.change and not verdict.thresholds.is_met(one.change, -allowed)]
    for one in sorted(failing, key=lambda one: one.change.value if one.change else 0.0)[:_MOST_CLASSES]:
        assert one.change is not None
        if _holds(one.change, -allowed):
            yield _undecided(f"the change of class {one.name}", "gate.max_class_drop", one.change, -allowed, one.images)
        if one.change.value < -allowed:
            yield (
                f"Class {one.name} loses more than gate.max_class_drop allows: add training images of this class, "
                "or raise search.tau."
            )


def _formats(verdict: Verdict) -> Iterator[str]:
    """Yields advice on the TFLite models of a model that passes."""
    if not verdict.blessed:
        return
    passed = [name for name, one in verdict.formats.items() if one.blessed and not one.is_lossy]
    instead = f"deploy {' or '.join(passed)}" if passed else "deploy the SavedModel"
    for name in verdict.not_converted:
        yield f"The {name} TFLite model could not be made and is left out: {instead}."
    for name, one in verdict.formats.items():
        calibrated = ", or add training images, which calibrate int8" if name == "int8" else ""
        if not one.blessed:
            yield f"The {name} TFLite model does not pass and is left out: {instead}{calibrated}."
        elif one.is_lossy and one.conversion:
            yield (
                f"The {name} TFLite model passes, but its conversion changes accuracy by "
                f"{phrases.points(one.conversion)}: {instead}{calibrated}."
            )


def _undecided(subject: str, field: str, figure: Interval, threshold: float, images: int) -> str:
    needed = images_to_decide(figure, threshold, images)
    enough = (
        f"about {needed:,} are needed (add images, or raise data.splits.test)"
        if needed
        else f"even {MOST_IMAGES:,} would be, because it is so close to the threshold"
    )
    return f"{images:,} test images are too few to decide whether {subject} meets {field}: {enough}."


def _keep(has_budgets: bool) -> str:
    budgets = ", loosen search.budgets" if has_budgets else ""
    return f"raise search.tau{budgets} or raise retrain.compute"


def _holds(figure: Interval, threshold: float) -> bool:
    """Returns whether the figure may be on either side of the threshold."""
    return figure.low < threshold <= figure.high
