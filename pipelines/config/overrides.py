"""Values from the command line that override those of a configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

import yaml

from compressor_lib.errors import CompressorError
from pipelines.config.errors import shown
from pipelines.config.sections.base import SectionType, fields_of, is_section
from pipelines.config.yaml_values import read_yaml, root_of

_NULL = ("", "~", "null", "Null", "NULL")


def override(
    values: dict[str, Any],
    texts: Sequence[str],
    config: SectionType,
    paths: Mapping[str, str | None] | None = None,
) -> None:
    """Overrides a file's values in place.

    Args:
        values: Values of the file.
        texts: Arguments of ``--set``.
        config: The model that the values belong to.
        paths: Values from options of their own, by field, which are not parsed; None leaves the field unchanged.

    Raises:
        CompressorError: As for :func:`parsed` and :func:`replace`, or if a field is given twice.
    """
    given: dict[str, Any] = {}
    for text in texts:
        keys, value = parsed(text, config)
        if _is_in(given, keys):
            raise CompressorError(f"--set {shown('.'.join(keys))} is given twice: keep one of them.")
        try:
            replace(values, keys, value)
        except CompressorError as error:
            raise CompressorError(f"--set {shown(text)}: {error}.") from None
        replace(given, keys, value)
    for field, path in (paths or {}).items():
        if path is None:
            continue
        if _is_in(given, field.split(".")):
            raise CompressorError(f"{field} is given twice, by --set and by its own option: keep one of them.")
        replace(values, field.split("."), path)


def parsed(text: str, config: SectionType) -> tuple[list[str], Any]:
    """Parses an argument of ``--set``.

    Args:
        text: Such as ``"search.tau=0.9"``. For a text field, the value is everything after the ``=``, whatever it
            looks like: ``"data.path=run #1"``. Two exceptions: ``null`` means None where the field may be null, and
            surrounding quotes are removed as in YAML. The value of any other field is parsed as YAML, so it can be a
            number, a list or a section.
        config: The model that the values belong to.

    Returns:
        Names of the sections and the field, and the value.

    Raises:
        CompressorError: If the text is not ``section.field=value``, if the value is not YAML, or if YAML would drop
            its end as a comment.
    """
    dotted, equals, value = text.partition("=")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise CompressorError(f"--set {shown(text)} is not of the form section.field=value.")
    try:
        return keys, _value(value.strip(), _kinds(config, keys))
    except yaml.YAMLError as error:
        raise CompressorError(f"--set {shown(text)}: the value is not YAML: {one_line(error)}.") from error


def replace(values: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Overrides one of a file's values in place.

    Args:
        values: Values of the file.
        keys: Names of the sections and the field.
        value: The new value.

    Raises:
        CompressorError: If one of the sections is a value.
    """
    for key in keys[:-1]:
        if values.get(key) is None:  # "gate:" in a file, with nothing under it
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            raise CompressorError(f"{key!r} is a value, not a section")
    values[keys[-1]] = value


def _is_in(values: Any, keys: Sequence[str]) -> bool:
    """Whether a field or section is set."""
    for key in keys:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def one_line(error: Exception) -> str:
    """Formats a YAML error as one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        problem = error.problem.replace("'<stream end>'", "the end")
        return f"{problem} in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    return " ".join(str(error).replace('"<unicode string>", ', "").split())


def _value(text: str, kinds: list[Any]) -> Any:
    is_text = [kind is str or _is_choice(kind) for kind in kinds if kind is not NoneType]
    if not is_text or not all(is_text):
        return _structured(text, plain_is_text=any(is_text))
    if NoneType in kinds and text in _NULL:
        return None
    return _unquoted(text)


def _structured(text: str, *, plain_is_text: bool) -> Any:
    """Parses YAML; if the field also takes text, a plain scalar is kept as it is."""
    root = root_of(text)
    if root is None or not text[root.end_mark.index :].strip():
        return read_yaml(text)
    if plain_is_text and isinstance(root, yaml.ScalarNode) and root.style is None:
        return text
    raise yaml.YAMLError(f"{shown(text[root.end_mark.index :].strip())} would be dropped as a comment")


def _unquoted(text: str) -> str:
    """Removes surrounding quotes as YAML does, if there are any."""
    if text[:1] not in ("'", '"'):
        return text
    try:
        root = root_of(text)
    except yaml.YAMLError:
        return text
    if isinstance(root, yaml.ScalarNode) and root.end_mark.index == len(text):
        return str(root.value)
    return text


def _kinds(config: SectionType, keys: list[str]) -> list[Any]:
    """The types that a field accepts; empty for an unknown field."""
    kinds: list[Any] = [config]
    for key in keys:
        kinds = [part for kind in kinds for part in _parts(_inside(kind, key))]
    return kinds


def _inside(kind: Any, key: str) -> Any:
    """The annotation of a key in a section or mapping; ``NoReturn`` for an unknown key."""
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    fields = fields_of(kind) if is_section(kind) else {}
    return fields[key].annotation if key in fields else NoReturn


def _parts(annotation: Any) -> list[Any]:
    """The members of a union, or the single type."""
    if annotation is NoReturn:
        return []
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for inner in get_args(annotation) for part in _parts(inner)]
    return [annotation]


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind))
