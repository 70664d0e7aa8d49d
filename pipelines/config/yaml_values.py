"""YAML of any kind, read into plain values or refused as YAML refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from pipelines.config.errors import shown

_MOST = 100_000
"""Values in a document."""


class GivenTwiceError(yaml.YAMLError):
    """A field stands twice in one section; YAML's own readers drop the first in silence."""


def read_yaml(text: str) -> Any:
    """Reads plain values; nothing from the text is run.

    Args:
        text: One YAML document, or nothing.

    Returns:
        Its value; None if there is none.

    Raises:
        GivenTwiceError: If a field stands twice in one section, at any depth.
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


def read_yaml_documents(text: str) -> Iterator[Any]:
    """Reads one document after the other, each like :func:`read_yaml`, whatever its size.

    Raises:
        GivenTwiceError: If a field stands twice in one section, at any depth.
        yaml.YAMLError: If it is no YAML.
    """
    try:
        yield from yaml.load_all(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def check_given_once(text: str) -> None:
    """Refuses JSON in which a field stands twice in one section, of which JSON's own readers drop the first.

    Args:
        text: JSON, which is YAML; whatever else is wrong with it is left to its own reader.

    Raises:
        GivenTwiceError: If there is one.
    """
    try:
        root_of(text)
    except GivenTwiceError:
        raise
    except yaml.YAMLError:
        return


def root_of(text: str) -> yaml.Node | None:
    """The outermost node of a document, which knows how it is written; None if there is none.

    Raises:
        yaml.YAMLError: As for :func:`read_yaml`.
    """
    try:
        node: yaml.Node | None = _Loader(text).get_single_node()
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    return node


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
    """A loader that lets no field be given twice, and raises YAML's own errors alone.

    PyYAML lets through whatever Python raises where a value only looks like a date, a number or a truth value.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Before merge keys are resolved, which write into the node; what is merged may well be given anew.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        known: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = "<<" if key.tag.endswith(":merge") else self.construct_object(key)
            if name in known:
                first, second = (one.start_mark.line + 1 for one in (known[name], key))
                where = f"in line {first} and in line {second}" if first != second else f"both in line {first}"
                raise GivenTwiceError(f"{shown(name)} is given twice, {where}: keep one of them")
            known[name] = key
        return node

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
