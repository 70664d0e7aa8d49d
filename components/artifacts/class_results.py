"""Results of a model by class, paired with the baseline by class name."""

from __future__ import annotations

import numpy as np

from components.artifacts.predictions import BASELINE, Predictions
from compressor_lib.deployment.eval_result import EvalResult


def results_by_class(predictions: Predictions, model: str, confidence: float) -> tuple[EvalResult, list[EvalResult]]:
    """Returns the results of a model on all images and on each class with images, compared with the baseline.

    All images count for the accuracy. Only images of classes that both models have are compared.

    Args:
        predictions: Predictions of the model, and of the baseline if there is one.
        model: Name of the model in the predictions.
        confidence: Confidence of the intervals.
    """
    right, labels = predictions.right(model), predictions.labels
    common = common_labels(predictions)
    overall = EvalResult.from_counts(
        "",
        images=len(labels),
        right=int(right.sum()),
        pairs=predictions.pairs(model, BASELINE, np.isin(labels, common)) if common else None,
        confidence=confidence,
    )
    classes = []
    for label in np.unique(labels[labels >= 0]).tolist():
        of_class = labels == label
        classes.append(
            EvalResult.from_counts(
                predictions.classes[label],
                images=int(of_class.sum()),
                right=int(right[of_class].sum()),
                pairs=predictions.pairs(model, BASELINE, of_class) if label in common else None,
                confidence=confidence,
            )
        )
    return overall, classes


def common_labels(predictions: Predictions) -> list[int]:
    """Returns the labels of the classes that the baseline also has."""
    if BASELINE not in predictions.models:
        return []
    theirs = set(predictions.models[BASELINE].classes)
    return [label for label, name in enumerate(predictions.classes) if name in theirs]
