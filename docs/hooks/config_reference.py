"""Generates the page ``reference/config.md`` from the configuration's model, whenever the site is built."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from pipelines.config.config import Config
from pipelines.config.sections.base import SectionType, fields_of, is_section, section_in

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "reference/config.md"

_INTRODUCTION = """# Configuration

One YAML file configures a run. This page is generated from the code that validates it, so it lists every field.
Start from a file in `examples/`. `compressor validate --config FILE` checks your own file, and
`--set section.field=value` replaces one value.
"""

_FILLED = {"output": "`runs/<name>`", "backbone.input_size": "224; with `backbone.model` the model's own"}
"""Defaults that depend on other fields."""

_LIMITS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "min_length": "at least {} long", "pattern": "`{}`"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page to the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """Returns the page as Markdown."""
    return "\n".join([_INTRODUCTION, *_section(Config)])


def _section(section: SectionType, path: str = "", depth: int = 1) -> Iterator[str]:
    """Yields a section's heading and table of fields, then its subsections."""
    if path:
        yield f"{'#' * depth} `{path}`\n"
        yield f"{_summary(section)}\n"
    yield "| field | value | default | meaning |\n|---|---|---|---|"
    inner = []
    for name, field in fields_of(section).items():
        full = f"{path}.{name}" if path else name
        found = section_in(field.annotation)
        if found:
            inner.append((found, full + _suffix(field.annotation)))
        value = f"[section](#{_anchor(inner[-1][1])})" if found else _cell(_value(field))
        meaning = _cell(field.description or (_summary(found) if found else ""))
        yield f"| `{name}` | {value} | {_cell(_FILLED.get(full) or _default(field, found))} | {meaning} |"
    yield ""
    for found, full in inner:
        yield from _section(found, full, depth + 1)


def _summary(section: SectionType) -> str:
    return (section.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")


def _suffix(annotation: Any) -> str:
    """What follows the path of a section in a list or mapping, which may be optional."""
    suffixes: dict[Any, str] = {list: "[]", tuple: "[]", dict: ".<node>"}
    kinds = map(get_origin, (annotation, *get_args(annotation)))
    return next((suffixes[kind] for kind in kinds if kind in suffixes), "")


def _anchor(path: str) -> str:
    """The anchor that Python-Markdown generates for a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")


def _value(field: FieldInfo) -> str:
    return ", ".join([_kind(field.annotation), *_limits(field.metadata)])


def _limits(marks: Iterable[Any]) -> list[str]:
    """The limits and patterns in pydantic's metadata of a type."""
    return [
        words.format(getattr(mark, name))
        for mark in marks
        for name, words in _LIMITS.items()
        if getattr(mark, name, None) is not None
    ]


def _kind(annotation: Any) -> str:
    """Describes a type in plain words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [each for mark in arguments[1:] for each in getattr(mark, "metadata", [mark])]
        return ", ".join([_kind(arguments[0]), *_limits(marks)])
    if origin is Literal:
        return " · ".join(f"`{each}`" for each in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(each) for each in arguments if each is not type(None))
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {_kind(arguments[0])}"
    if origin is tuple:
        return ", ".join(_kind(each) for each in arguments)
    if origin is dict:
        return f"{_kind(arguments[0])}: {_kind(arguments[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "`true` · `false`"}.get(
        annotation, str(annotation)
    )


def _default(field: FieldInfo, section: SectionType | None) -> str:
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True)
    if is_section(type(value)):
        return "its fields'"
    return f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
