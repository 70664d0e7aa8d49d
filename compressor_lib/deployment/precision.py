"""The number formats of TFLite models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Precision = Literal["float32", "float16", "int8"]
"""Number format of a TFLite model: float32; weights in float16; weights and activations in int8."""


def smallest(formats: Iterable[Precision]) -> Precision:
    """Returns the precision of the smallest of the given files: int8, else float16, else float32.

    Example:
        >>> smallest(["float32", "int8", "float16"])
        'int8'
    """
    shipped: list[Precision] = ["float32", *formats]
    return max(shipped, key=get_args(Precision).index)
