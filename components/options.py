"""The library's options on their way through a node: as JSON, in one execution parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor_lib.errors import CompressorError
from compressor_lib.support.options import Options

T = TypeVar("T", bound=Options)


def as_parameter(options: Options) -> str:
    """Options as an execution parameter: the same text for the same options, for it is part of the cache key."""
    return json.dumps(asdict(options), sort_keys=True)


def from_parameter(kind: type[T], text: str) -> T:
    """Reads what :func:`as_parameter` wrote, with the values that runtime parameters have put into it."""
    return parsed(kind, json.loads(text))


def parsed(kind: type[T], values: Mapping[str, Any]) -> T:
    """Options from JSON's values.

    Args:
        kind: Their class.
        values: By name; what is left out has its default.

    Raises:
        CompressorError: If a value has another type, or is beyond its limits.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as invalid:
        wrong = [
            f"{'.'.join(map(str, error['loc']))} is {error['input']!r}: {error['msg']}" for error in invalid.errors()
        ]
        raise CompressorError("; ".join(wrong)) from invalid
