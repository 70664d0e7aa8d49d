"""What the reference and the compressed model answer to the same pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.report.data import Answers, ChangedPicture, Confusion

if TYPE_CHECKING:
    import keras

WORST = 4
"""Of how many classes changed pictures are kept."""
CHANGED_A_CLASS = 6
"""How many of each."""
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
        What both take the pictures of each class for, and some pictures whose answer went wrong.
    """
    reference_counts, compressed_counts = ([Counter[int]() for _ in classes] for _ in range(2))
    changed: dict[str, list[ChangedPicture]] = {}
    for pictures, labels in batches:
        pictures, labels = np.asarray(pictures), np.asarray(labels)
        probabilities = [model.predict_on_batch(pictures.astype(np.float32)) for model in (reference, compressed)]
        before, after = (answered.argmax(axis=-1) for answered in probabilities)
        for counts, answered in ((reference_counts, before), (compressed_counts, after)):
            for label, answer in zip(labels.tolist(), answered.tolist(), strict=True):
                counts[label][answer] += 1
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
    reference_answers, compressed_answers = (
        [dict(sorted(row.items())) for row in counts] for counts in (reference_counts, compressed_counts)
    )
    worst = [classes[number] for number in worst_hit(reference_answers, compressed_answers)]
    shown = {name: changed[name] for name in worst if name in changed}
    return Answers(list(classes), reference_answers, compressed_answers, shown)


def worst_hit(before: Confusion, after: Confusion) -> list[int]:
    """The classes that lost most of their accuracy, at most :data:`WORST`, that which lost most first."""
    changes = {
        number: new - old
        for number, (old, new) in enumerate(zip(recalls(before), recalls(after), strict=True))
        if old is not None and new is not None and new < old
    }
    return sorted(changes, key=changes.__getitem__)[:WORST]


def accuracy(confusion: Confusion) -> float:
    """The share of all pictures that are named rightly."""
    right = sum(row.get(number, 0) for number, row in enumerate(confusion))
    return right / sum(sum(row.values()) for row in confusion)


def recalls(confusion: Confusion) -> list[float | None]:
    """For each class, the share of its pictures that are named rightly; None where there are none."""
    return [row.get(number, 0) / sum(row.values()) if row else None for number, row in enumerate(confusion)]


def _thumbnail(picture: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
