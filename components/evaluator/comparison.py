"""From predictions to what the gate judges: counts by class, paired with the baseline by the classes' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.artifacts.judging import common_labels, judged
from components.artifacts.predictions import BASELINE, MODEL, REFERENCE, Predictions
from compressor_lib.deployment.gate import Thresholds, Verdict, confidence_shown, judge, judge_format
from compressor_lib.deployment.intervals import Interval, paired_change
from compressor_lib.deployment.model_metrics import REFERENCE as REFERENCE_FIGURES

_MOST_NAMED = 10
"""So many classes are named in a note."""


def verdict_of(
    predictions: Predictions, thresholds: Thresholds, model_sha256: str, not_converted: Mapping[str, str] | None = None
) -> Verdict:
    """Judges a model and each of its TFLite models by what they predict.

    Args:
        predictions: Of the model, its TFLite models, and the baseline if there is one.
        thresholds: What the gate asks for.
        model_sha256: Of the model's files.
        not_converted: Why there is no TFLite model, by precision, and by ``REFERENCE`` of the uncompressed one.
    """
    missing = dict(not_converted or {})
    reference = missing.pop(REFERENCE_FIGURES, None)
    said = [f"The uncompressed model is not compared in size and speed: {reference}."] if reference else []
    confidence = confidence_shown(thresholds)
    formats = {
        name: judge_format(
            thresholds, *judged(predictions, name, confidence), _conversion(predictions, name, confidence)
        )
        for name in predictions.models
        if name not in (MODEL, BASELINE, REFERENCE)
    }
    overall, classes = judged(predictions, MODEL, confidence)
    return judge(
        thresholds,
        overall,
        classes,
        model_sha256,
        formats=formats,
        notes=[*notes(predictions), *said],
        not_converted=missing,
    )


def notes(predictions: Predictions) -> list[str]:
    """Says which classes are not compared, and what the gate does about them; a sentence each."""
    said = []
    unknown = int((predictions.labels < 0).sum())
    if unknown:
        said.append(f"{unknown:,} test images are of classes that were not trained: each counts as predicted wrong.")
    tested = set(predictions.labels.tolist())
    untested = [name for label, name in enumerate(predictions.classes) if label not in tested]
    if untested:
        said.append(f"There are no test images of {_listed(untested)}: nothing is known of such images.")
    if BASELINE not in predictions.models:
        return [*said, "There is no baseline, so gate.min_accuracy alone decides."]
    ours, theirs = predictions.classes, predictions.models[BASELINE].classes
    common = common_labels(predictions)
    if not common:
        named = f"the model has {_listed(ours)}, the baseline {_listed(theirs)}"
        return [*said, f"No class is common, so nothing is compared and gate.min_accuracy alone decides: {named}."]
    came = [name for name in ours if name not in set(theirs)]
    went = [name for name in theirs if name not in set(ours)]
    if came:
        said.append(f"The baseline does not have {_listed(came)}: such images count for gate.min_accuracy alone.")
    if went:
        said.append(f"The model no longer has {_listed(went)} of the baseline: nothing is compared there.")
    if not np.isin(predictions.labels, common).any():
        said.append("No test image is of a class that both have, so gate.min_accuracy alone decides.")
    return said


def _conversion(predictions: Predictions, name: str, confidence: float) -> Interval:
    """From the SavedModel's accuracy to a TFLite model's."""
    pairs = predictions.pairs(name, MODEL)
    return paired_change(pairs.gained, pairs.lost, pairs.images, confidence)


def _listed(names: Sequence[str]) -> str:
    named = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{'class' if len(names) == 1 else 'classes'} {named}{more}"
