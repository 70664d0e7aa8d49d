"""Duplicate images: found by their pixels and kept in one split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from components.node_options import Duplicates


class Copy(NamedTuple):
    """One of several images with the same pixels.

    Attributes:
        name: Path relative to the data folder.
        label: Name of its class.
        split: Its split, by folder or by the stratified split.
    """

    name: str
    label: str
    split: str


def describe(copies: Iterable[Copy], splits: Sequence[str], policy: Duplicates) -> dict[str, Any]:
    """Describes images with the same pixels, and which of them are left out.

    A model must not be evaluated on an image that it was trained on. With ``one_split``, only the copies in the last of
    their splits, in the order of ``splits``, are kept. So the evaluation data does not shrink.

    Args:
        copies: All copies, at least two.
        splits: Names of the splits, training first.
        policy: See :class:`components.node_options.ImageOptions`.

    Returns:
        ``files``, ``labels`` (more than one if the image is in several classes), ``splits`` and ``left_out``.

    Example:
        >>> describe([Copy("a/1.png", "a", "train"), Copy("a/2.png", "a", "test")], ["train", "test"], "one_split")
        {'files': ['a/1.png', 'a/2.png'], 'labels': ['a'], 'splits': ['train', 'test'], 'left_out': ['a/1.png']}
    """
    copies = sorted(copies)
    occupied = [split for split in splits if any(copy.split == split for copy in copies)]
    left_out = [copy.name for copy in copies if policy == "one_split" and copy.split != occupied[-1]]
    return {
        "files": [copy.name for copy in copies],
        "labels": sorted({copy.label for copy in copies}),
        "splits": occupied,
        "left_out": left_out,
    }


class FindDuplicates(beam.PTransform):
    """Maps ``(hash of the pixels, Copy)`` of all images to :func:`describe` of the duplicates."""

    def __init__(self, splits: Sequence[str], policy: Duplicates) -> None:
        super().__init__()
        self._splits, self._policy = splits, policy

    def expand(self, images: beam.PCollection) -> beam.PCollection:
        """See the class."""
        return (
            images
            | "GroupByPixels" >> beam.GroupByKey()
            | "Copies" >> beam.MapTuple(lambda _, copies: list(copies))
            | "NotAlone" >> beam.Filter(lambda copies: len(copies) > 1)
            | "Describe" >> beam.Map(describe, self._splits, self._policy)
        )
