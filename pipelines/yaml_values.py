"""YAML of any kind, read into plain values or refused as YAML refuses it."""

from __future__ import annotations

from typing import Any

import yaml

from pipelines.config_errors import shown

_MOST = 100_000
"""Values in a document."""


def read_yaml(text: str) -> Any:
    """Reads plain values; nothing from the text is run.

    Args:
        text: One YAML document, or nothing.

    Returns:
        Its value; None if there is none.

    Raises:
        yaml.YAMLError: If it is no YAML, a value is not what its tag or its form says, or it is nested too deeply.

    Example:
        >>> read_yaml("{tau: 0.9}")
        {'tau': 0.9}
    """
    try:
        value = _Loader(text).get_single_data()
        if _count(value, {}) > _MOST:
            raise yaml.YAMLError(f"its aliases make more than {_MOST:,} values of it")
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    return value


def _count(value: Any, known: dict[int, int]) -> int:
    """Values in a value, each as often as it is met; few lines of aliases are enough for billions."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 1  # where it is in itself
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] += sum(_count(one, known) for one in inside)
    return known[id(value)]


class _Loader(yaml.SafeLoader):
    """PyYAML lets through whatever Python raises where a value only looks like a date, a number or a truth value."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # which Python refuses for thousands of digits
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                problem=f"{shown(node.value)} cannot be read as {kind}; put it in quotes if it is text,",
                problem_mark=node.start_mark,
            ) from error
        return value
