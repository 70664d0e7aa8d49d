"""Converts predictions to the counts that the gate judges, paired with the baseline by class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.artifacts.class_results import common_labels, results_by_class
from components.artifacts.predictions import BASELINE, MODEL, REFERENCE, Predictions
from compressor_lib.deployment.gate import Thresholds, Verdict, confidence_shown, judge, judge_format
from compressor_lib.deployment.intervals import Interval, paired_change
from compressor_lib.deployment.model_metrics import REFERENCE as REFERENCE_FIGURES

_MOST_NAMED = 10
"""Maximum number of classes named in a note."""


def verdict_of(
    predictions: Predictions, thresholds: Thresholds, model_sha256: str, not_converted: Mapping[str, str] | None = None
) -> Verdict:
    """Judges a model and each of its TFLite models by their predictions.

    Args:
        predictions: Predictions of the model, of its TFLite models, and of the baseline if there is one.
        thresholds: Thresholds of the gate.
        model_sha256: Hash of the model's files.
        not_converted: Reasons for missing TFLite models, by precision, and by ``REFERENCE`` for the uncompressed model.
    """
    missing = dict(not_converted or {})
    reference = missing.pop(REFERENCE_FIGURES, None)
    sentences = [f"The uncompressed model is not compared in size and speed: {reference}."] if reference else []
    confidence = confidence_shown(thresholds)
    formats = {
        name: judge_format(
            thresholds, *results_by_class(predictions, name, confidence), _conversion(predictions, name, confidence)
        )
        for name in predictions.models
        if name not in (MODEL, BASELINE, REFERENCE)
    }
    overall, classes = results_by_class(predictions, MODEL, confidence)
    return judge(
        thresholds,
        overall,
        classes,
        model_sha256,
        formats=formats,
        notes=[*notes(predictions), *sentences],
        not_converted=missing,
    )


def notes(predictions: Predictions) -> list[str]:
    """Returns sentences on the classes that are not compared, and how the gate treats them."""
    sentences = []
    unknown = int((predictions.labels < 0).sum())
    if unknown:
        sentences.append(
            f"{unknown:,} test images are of classes that were not trained: each counts as a wrong prediction."
        )
    tested = set(predictions.labels.tolist())
    untested = [name for label, name in enumerate(predictions.classes) if label not in tested]
    if untested:
        sentences.append(f"There are no test images of {_listed(untested)}: the model's accuracy on them is unknown.")
    if BASELINE not in predictions.models:
        return [*sentences, "There is no baseline, so only gate.min_accuracy decides."]
    ours, theirs = predictions.classes, predictions.models[BASELINE].classes
    common = common_labels(predictions)
    if not common:
        named = f"the model has {_listed(ours)}, the baseline {_listed(theirs)}"
        return [*sentences, f"The models have no class in common, so only gate.min_accuracy decides: {named}."]
    came = [name for name in ours if name not in set(theirs)]
    went = [name for name in theirs if name not in set(ours)]
    if came:
        sentences.append(f"The baseline does not have {_listed(came)}: such images only count for gate.min_accuracy.")
    if went:
        sentences.append(f"The model no longer has {_listed(went)} of the baseline: such images are not compared.")
    if not np.isin(predictions.labels, common).any():
        sentences.append("No test image is of a class that both models have, so only gate.min_accuracy decides.")
    return sentences


def _conversion(predictions: Predictions, name: str, confidence: float) -> Interval:
    """Returns the change from the SavedModel's accuracy to a TFLite model's."""
    pairs = predictions.pairs(name, MODEL)
    return paired_change(pairs.gained, pairs.lost, pairs.images, confidence)


def _listed(names: Sequence[str]) -> str:
    named = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{'class' if len(names) == 1 else 'classes'} {named}{more}"
