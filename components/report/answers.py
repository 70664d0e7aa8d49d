"""What the reference and the compressed model answer to the same images."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.report.data import Answers, Confusion, ExampleImage

if TYPE_CHECKING:
    import keras

WORST = 4
"""Of how many classes changed images are kept."""
CHANGED_A_CLASS = 6
"""How many of each."""
WRONG = 12
"""How many images are kept that the compressed model names wrongly."""
RIGHT = 6
"""How many that it names rightly."""
THUMBNAIL = 112
"""Their longer side in pixels."""


def compare_answers(
    reference: keras.Model,
    compressed: keras.Model,
    batches: Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
    classes: Sequence[str],
    *,
    reference_classes: Sequence[str] | None = None,
    compressed_classes: Sequence[str] | None = None,
) -> Answers:
    """Asks both models the same images, and notes what each takes them for.

    Args:
        reference: From `float32` images `[N, S, S, 3]`, 0..255, to probabilities `[N, C]`.
        compressed: Likewise.
        batches: Images, `uint8 [N, S, S, 3]`, and their classes, `[N]`; gone through once.
        classes: The names of the classes, by label.
        reference_classes: The names of the reference's classes in the order of its probabilities; None: as the labels.
        compressed_classes: Likewise, of the compressed model.

    Returns:
        What both take the images of each class for, and some images to look at.
    """
    names = list(dict.fromkeys([*classes, *(reference_classes or ()), *(compressed_classes or ())]))
    numbers = [_numbers(own or classes, names) for own in (reference_classes, compressed_classes)]
    reference_counts, compressed_counts = ([Counter[int]() for _ in names] for _ in range(2))
    changed: dict[str, list[ExampleImage]] = {}
    wrong: list[ExampleImage] = []
    right: list[ExampleImage] = []
    lost = gained = 0
    for images, labels in batches:
        images, labels = np.asarray(images), np.asarray(labels)
        probabilities = [model.predict_on_batch(images.astype(np.float32)) for model in (reference, compressed)]
        before, after = (own[answered.argmax(axis=-1)] for own, answered in zip(numbers, probabilities, strict=True))
        for counts, answered in ((reference_counts, before), (compressed_counts, after)):
            for label, answer in zip(labels.tolist(), answered.tolist(), strict=True):
                counts[label][answer] += 1
        sure = probabilities[1].max(axis=-1)

        def example(place: int, images=images, labels=labels, before=before, after=after, sure=sure) -> ExampleImage:
            return ExampleImage(
                true=names[labels[place]],
                predicted=names[after[place]],
                probability=float(sure[place]),
                image=_thumbnail(images[place]),
                reference_is_right=bool(before[place] == labels[place]),
            )

        was, is_now = before == labels, after == labels
        lost, gained = lost + int((was & ~is_now).sum()), gained + int((~was & is_now).sum())
        for place in np.flatnonzero(was & ~is_now):
            kept = changed.setdefault(names[labels[place]], [])
            if len(kept) < CHANGED_A_CLASS:
                kept.append(example(place))
        # No more of a batch are made small than are kept at last.
        surest = [place for place in np.argsort(-sure, kind="stable") if not is_now[place]][:WRONG]
        least_sure = [place for place in np.argsort(sure, kind="stable") if is_now[place]][:RIGHT]
        wrong = sorted([*wrong, *map(example, surest)], key=lambda one: -one.probability)[:WRONG]
        right = sorted([*right, *map(example, least_sure)], key=lambda one: one.probability)[:RIGHT]
    reference_answers, compressed_answers = (
        [dict(sorted(row.items())) for row in counts] for counts in (reference_counts, compressed_counts)
    )
    worst = [names[number] for number in worst_hit(reference_answers, compressed_answers)]
    shown = {name: changed[name] for name in worst if name in changed}
    return Answers(names, reference_answers, compressed_answers, lost, gained, wrong, right, shown)


def _numbers(own: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number among all names of each of a model's classes, for the order of both may differ."""
    return np.array([names.index(name) for name in own], np.int64)


def worst_hit(before: Confusion, after: Confusion) -> list[int]:
    """The classes that lost most of their accuracy, at most :data:`WORST`, that which lost most first."""
    changes = {
        number: new - old
        for number, (old, new) in enumerate(zip(recalls(before), recalls(after), strict=True))
        if old is not None and new is not None and new < old
    }
    return sorted(changes, key=changes.__getitem__)[:WORST]


def right_and_all(confusion: Confusion) -> tuple[int, int]:
    """How many images are named rightly, and how many there are."""
    return sum(row.get(number, 0) for number, row in enumerate(confusion)), sum(sum(row.values()) for row in confusion)


def recalls(confusion: Confusion) -> list[float | None]:
    """For each class, the share of its images that are named rightly; None where there are none."""
    return [row.get(number, 0) / sum(row.values()) if row else None for number, row in enumerate(confusion)]


def _thumbnail(picture: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
