"""Counts of the files that an ExampleGen left out, stored with its Examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LEFT_OUT = "left_out"
"""Custom property of the Examples: a JSON object."""


@dataclass(frozen=True)
class LeftOutCounts:
    """The number of files left out.

    Attributes:
        images: Images by kind, such as ``".heic"`` or ``".jpg unreadable"``; they count towards ``data.max_bad_share``.
        others: Files that are not images, by suffix.
    """

    images: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


def describe_left_out(images: Iterable[str], others: Mapping[str, int]) -> str:
    """Counts the files left out.

    Args:
        images: Kind of each image.
        others: Number of other files, by suffix.

    Returns:
        A :class:`LeftOutCounts` as JSON.
    """
    return json.dumps(asdict(LeftOutCounts(dict(Counter(images).most_common()), dict(Counter(others).most_common()))))


def read_left_out(examples: Any) -> LeftOutCounts:
    """Reads the counts of an ExampleGen's output.

    Args:
        examples: Output of an ExampleGen. The counts are 0 for ExampleGens that do not record them.
    """
    found = examples.get_string_custom_property(LEFT_OUT)
    return LeftOutCounts(**json.loads(found)) if found else LeftOutCounts()
