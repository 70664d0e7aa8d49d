"""Passes the library's options through a node, as JSON in one execution parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor_lib.errors import CompressorError
from compressor_lib.options import Options

T = TypeVar("T", bound=Options)


def as_parameter(options: Options) -> str:
    """Returns options as an execution parameter. Equal options give equal text, because it is part of the cache key."""
    return json.dumps(asdict(options), sort_keys=True)


def from_parameter(kind: type[T], text: str) -> T:
    """Reads a text from :func:`as_parameter`, including values inserted as runtime parameters."""
    return parsed(kind, json.loads(text))


def parsed(kind: type[T], values: Mapping[str, Any]) -> T:
    """Creates options from JSON values.

    Args:
        kind: Class of the options.
        values: Values by name. Missing values get their defaults.

    Raises:
        CompressorError: If a value has the wrong type or is out of range.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as invalid:
        wrong = [
            f"{'.'.join(map(str, error['loc']))} is {error['input']!r}: {error['msg']}" for error in invalid.errors()
        ]
        raise CompressorError("; ".join(wrong)) from invalid
