"""Reads and writes JSON like Go's protojson, for the stand-in for Kubeflow's backend."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from google.protobuf import json_format
from kubeflow_errors import Refused


def check(value: Any, message: Any) -> Any:
    """Parses JSON values into a message, as strictly as protojson."""
    try:
        return json_format.ParseDict(value, message)
    except json_format.ParseError as error:
        raise Refused(f"invalid: {error}") from error


def read(text: str, message: Any) -> Any:
    """``protojson.Unmarshal``; returns the values."""

    def refuse(constant: str) -> None:
        raise Refused(f"invalid: {constant} is no JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise Refused(f"invalid: {error}") from error
    check(value, message)
    return value


def write(value: Any, message: Any) -> str:
    """``protojson.Marshal``, which prints whole doubles without a point."""
    try:
        fields = json_format.MessageToDict(check(value, message))
    except (ValueError, json_format.SerializeToJsonError) as error:  # numbers that JSON cannot represent
        raise Refused(f"invalid: {error}") from error
    return json.dumps(_whole(fields), ensure_ascii=False)


def number_text(value: float) -> str:
    """``strconv.FormatFloat(value, 'f', -1, 64)``: never an exponent, no point in whole numbers."""
    text = f"{Decimal(repr(float(value))):f}"
    return text.removesuffix(".0")


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:  # larger ones have an exponent
        return int(value)
    return value
