"""Dataclasses of options. Each option is declared once, with its name, type, default and limits.

pydantic reads the limits from the fields' metadata, so a section of the configuration can be such a class.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from compressor_lib.errors import CompressorError, unknown

T = TypeVar("T")

_LIMITS = {
    "gt": (operator.gt, "more than {:g}"),
    "ge": (operator.ge, "at least {:g}"),
    "lt": (operator.lt, "below {:g}"),
    "le": (operator.le, "at most {:g}"),
}


@dataclasses.dataclass(frozen=True)
class Each:
    """Limits for each item of a list, as in ``tuple[Annotated[int, Each(gt=0)], ...]``.

    Attributes:
        gt: Items must be more than this.
        ge: Items must be at least this.
    """

    gt: float | None = None
    ge: float | None = None


def option(default: T, **limits: float) -> T:
    """Declares a field of a dataclass of options.

    Args:
        default: Default of the option.
        **limits: ``gt``, ``ge``, ``lt`` or ``le`` for a number; ``min_length`` for a list.

    Returns:
        The field of the dataclass.
    """
    return dataclasses.field(default=default, metadata=limits)


@dataclasses.dataclass(frozen=True)
class Options:
    """Base class of frozen dataclasses of options.

    Raises:
        CompressorError: If a value is out of range or is not one of the choices.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if get_origin(hints[field.name]) is Literal and value not in get_args(hints[field.name]):
                raise unknown(field.name, value, get_args(hints[field.name]))
            if value is not None:
                _check(field.name, value, field.metadata)
            for limits in _of_each(hints[field.name]):
                for index, item in enumerate(value or ()):
                    _check(f"{field.name}[{index}]", item, limits)


def _of_each(hint: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the limits of list items, wherever they are in a type."""
    if get_origin(hint) is Annotated:
        yield from (vars(mark) for mark in hint.__metadata__ if isinstance(mark, Each))
    for inner in get_args(hint):
        yield from _of_each(inner)


def _check(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    for limit, (keeps, words) in _LIMITS.items():
        bound = limits.get(limit)
        if bound is not None and not keeps(value, bound):
            raise CompressorError(f"{name} is {value}: it must be {words.format(bound)}.")
    if "min_length" in limits and len(value) < limits["min_length"]:
        raise CompressorError(f"{name} is empty: it must be at least {limits['min_length']} long.")
