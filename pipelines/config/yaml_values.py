"""A safe YAML reader that refuses duplicate keys and documents that expand without end."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from pipelines.config.errors import shown

_MOST = 100_000
"""Maximum number of values in a document."""


class GivenTwiceError(yaml.YAMLError):
    """A field is given twice in one section. Other YAML readers silently drop the first."""


def read_yaml(text: str) -> Any:
    """Reads plain values; no code from the text is run.

    Args:
        text: One YAML document, or an empty text.

    Returns:
        The document's value; None if the text is empty.

    Raises:
        GivenTwiceError: If a field is given twice in one section, at any depth.
        yaml.YAMLError: If the text is not YAML, a value does not fit its tag, or it is nested too deeply.

    Example:
        >>> read_yaml("{tau: 0.9}")
        {'tau': 0.9}
    """
    try:
        value = _Loader(text).get_single_data()
        if _count(value, {}) > _MOST:
            raise yaml.YAMLError(f"its aliases expand to more than {_MOST:,} values")
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    return value


def read_yaml_documents(text: str) -> Iterator[Any]:
    """Reads several documents, each like :func:`read_yaml` but without the limit on its size.

    Raises:
        GivenTwiceError: If a field is given twice in one section, at any depth.
        yaml.YAMLError: If the text is not YAML.
    """
    try:
        yield from yaml.load_all(text, _Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def check_given_once(text: str) -> None:
    """Refuses JSON with duplicate keys, of which JSON readers silently drop the first.

    Args:
        text: JSON, which is also YAML. Other mistakes in it are left to the JSON reader.

    Raises:
        GivenTwiceError: If a field is given twice in one section, at any depth.
    """
    try:
        root_of(text)
    except GivenTwiceError:
        raise
    except yaml.YAMLError:
        return


def root_of(text: str) -> yaml.Node | None:
    """Returns a document's root node, which keeps positions and quotes; None if the text is empty.

    Raises:
        yaml.YAMLError: As for :func:`read_yaml`.
    """
    try:
        node: yaml.Node | None = _Loader(text).get_single_node()
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    return node


def _count(value: Any, known: dict[int, int]) -> int:
    """Counts the values in a value, with aliases expanded: a few lines of aliases can expand to billions."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 1  # in case it contains itself
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] += sum(_count(one, known) for one in inside)
    return known[id(value)]


class _Loader(yaml.SafeLoader):
    """A loader that refuses duplicate keys and raises only YAML errors.

    PyYAML lets Python's own exceptions through if a value only looks like a date, a number or a boolean.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Checked before merge keys are resolved, because they may be overridden and write into the node.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        known: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name = "<<" if key.tag.endswith(":merge") else self.construct_object(key)
            if not isinstance(name, Hashable):
                continue  # a set, which is refused as a key later
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
                str(value)  # Python refuses this for thousands of digits
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                problem=f"{shown(node.value)} cannot be read as {kind}; put it in quotes if it is text,",
                problem_mark=node.start_mark,
            ) from error
        return value
