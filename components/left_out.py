"""Files that an ExampleGen left out, as counts that travel with its Examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LEFT_OUT = "left_out"
"""Custom property of the Examples, a JSON object."""


@dataclass(frozen=True)
class LeftOutCounts:
    """How many files were left out.

    Attributes:
        images: Images by kind, such as ``".heic"`` or ``".jpg unreadable"``; they count under ``data.max_bad_share``.
        others: Files that are no images, by suffix.
    """

    images: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


def describe_left_out(images: Iterable[str], others: Mapping[str, int]) -> str:
    """Counts what was left out.

    Args:
        images: The kind of each image.
        others: Counts of other files, by suffix.

    Returns:
        A :class:`LeftOutCounts` as JSON.
    """
    return json.dumps(asdict(LeftOutCounts(dict(Counter(images).most_common()), dict(Counter(others).most_common()))))


def read_left_out(examples: Any) -> LeftOutCounts:
    """Reads what an ExampleGen left out.

    Args:
        examples: Its artifact; another's left nothing out.
    """
    found = examples.get_string_custom_property(LEFT_OUT)
    return LeftOutCounts(**json.loads(found)) if found else LeftOutCounts()
