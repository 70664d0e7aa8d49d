"""What the reference and the compressed model answer to the same pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.report.data import Answers, ChangedPicture

if TYPE_CHECKING:
    import keras

CHANGED_A_CLASS = 6
"""How many changed pictures of a class are kept."""
THUMBNAIL = 112
"""Their longer side in pixels."""


def compare_answers(
    reference: keras.Model,
    compressed: keras.Model,
    batches: Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
    classes: Sequence[str],
) -> Answers:
    """Asks both models the same pictures, and notes what each takes them for.

    Args:
        reference: From `float32` pictures `[N, S, S, 3]`, 0..255, to probabilities `[N, C]`.
        compressed: Likewise.
        batches: Pictures, `uint8 [N, S, S, 3]`, and their classes, `[N]`; gone through once.
        classes: The `C` names.

    Returns:
        Both confusion matrices, and some pictures whose answer went wrong.
    """
    matrices = np.zeros((2, len(classes), len(classes)), np.int64)
    changed: dict[str, list[ChangedPicture]] = {}
    for pictures, labels in batches:
        pictures, labels = np.asarray(pictures), np.asarray(labels)
        probabilities = [model.predict_on_batch(pictures.astype(np.float32)) for model in (reference, compressed)]
        before, after = (answered.argmax(axis=-1) for answered in probabilities)
        for matrix, answered in zip(matrices, (before, after), strict=True):
            np.add.at(matrix, (labels, answered), 1)
        for place in np.flatnonzero((before == labels) & (after != labels)):
            kept = changed.setdefault(classes[labels[place]], [])
            if len(kept) < CHANGED_A_CLASS:
                kept.append(
                    ChangedPicture(
                        answer=classes[after[place]],
                        confidence=float(probabilities[1][place, after[place]]),
                        image=_thumbnail(pictures[place]),
                    )
                )
    return Answers(list(classes), matrices[0].tolist(), matrices[1].tolist(), changed)


def accuracy(matrix: Sequence[Sequence[int]]) -> float:
    """The share of a confusion matrix that is on its diagonal."""
    counts = np.asarray(matrix)
    return float(np.trace(counts) / counts.sum())


def recalls(matrix: Sequence[Sequence[int]]) -> list[float | None]:
    """For each class, the share of its pictures that are named rightly; None where there are none."""
    return [row[number] / sum(row) if sum(row) else None for number, row in enumerate(matrix)]


def _thumbnail(picture: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
