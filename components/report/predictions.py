"""Compares the predictions of the reference model and the compressed model, from the Evaluator's output."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from components.artifacts.predictions import MODEL, REFERENCE, ModelPredictions, Predictions
from components.report.confusion import worst_hit
from components.report.data import ComparedPredictions, Confusion, ExampleImage
from compressor_lib.deployment.image_check import opened

CHANGED_A_CLASS = 6
"""Number of example images of each kind."""
WRONG = 12
"""Number of example images that the compressed model classifies wrongly."""
RIGHT = 6
"""Number of example images that the compressed model classifies correctly."""
THUMBNAIL = 112
"""Length of an example image's longer side, in pixels."""

UNKNOWN = "(none of the classes)"
"""The class of an image whose true class was not trained."""


def compare_predictions(
    predictions: Predictions, read: Callable[[Collection[str]], Mapping[str, bytes]]
) -> ComparedPredictions:
    """Summarises the predictions of both models, with classes matched by name.

    Args:
        predictions: The Evaluator's predictions.
        read: Function that returns the encoded files of some images, by their keys.

    Returns:
        The confusion matrices of both models, and some example images.
    """
    models = [predictions.models[name] for name in (REFERENCE, MODEL)]
    names = list(dict.fromkeys([*predictions.classes, *(name for one in models for name in one.classes)]))
    before, after = (_counted(predictions, one, names) for one in models)
    was_right, is_right = (predictions.right(name) for name in (REFERENCE, MODEL))
    surest_first = np.argsort(-models[1].probability, kind="stable")
    wrong = surest_first[~is_right[surest_first]][:WRONG]
    right = surest_first[is_right[surest_first]][::-1][:RIGHT]
    changed = {
        names[number]: _changed(was_right & ~is_right, predictions, number) for number in worst_hit(before, after)
    }
    shown = np.concatenate([wrong, right, *changed.values()])
    files = read({predictions.images[place] for place in shown.tolist()})

    def examples(places: npt.NDArray[np.int64]) -> list[ExampleImage]:
        found = [place for place in places.tolist() if predictions.images[place] in files]
        return [_example(predictions, place, bool(was_right[place]), files) for place in found]

    return ComparedPredictions(
        classes=names,
        reference=before,
        compressed=after,
        lost=int((was_right & ~is_right).sum()),
        gained=int((~was_right & is_right).sum()),
        wrong=examples(wrong),
        right=examples(right),
        changed={name: found for name, places in changed.items() if (found := examples(places))},
    )


def _counted(predictions: Predictions, model: ModelPredictions, names: Sequence[str]) -> Confusion:
    """Returns the confusion matrix of a model, by the indices of the class names."""
    place = {name: number for number, name in enumerate(names)}
    own = [place[name] for name in model.classes]
    counts = [Counter[int]() for _ in names]
    for label, predicted in zip(predictions.labels.tolist(), model.predicted.tolist(), strict=True):
        if label >= 0:
            counts[place[predictions.classes[label]]][own[predicted]] += 1
    return [dict(sorted(row.items())) for row in counts]


def _changed(lost: npt.NDArray[np.bool_], predictions: Predictions, number: int) -> npt.NDArray[np.int64]:
    """Returns some images of a class that only the reference model classifies correctly."""
    return np.flatnonzero(lost & (predictions.labels == number))[:CHANGED_A_CLASS]


def _example(predictions: Predictions, place: int, was_right: bool, files: Mapping[str, bytes]) -> ExampleImage:
    model, label = predictions.models[MODEL], predictions.labels[place]
    true_probability = float(model.true_probability[place])
    return ExampleImage(
        true=predictions.classes[label] if label >= 0 else UNKNOWN,
        predicted=model.classes[model.predicted[place]],
        probability=float(model.probability[place]),
        true_probability=0.0 if np.isnan(true_probability) else true_probability,
        image=_thumbnail(files[predictions.images[place]]),
        reference_is_right=was_right,
    )


def _thumbnail(encoded: bytes) -> str:
    image = opened(encoded).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
