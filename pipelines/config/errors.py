"""Error messages for invalid configurations, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError, nearest
from pipelines.config.sections.base import SectionType, always_section, fields_of, section_in

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_Location = tuple[int | str, ...]

_MUST_BE = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a section of fields",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a section of fields",
    "tuple_type": "a list",
    "string_type": "text, in quotes if it looks like a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "lower-case letters, digits and hyphens, 128 at most, no hyphen first",
    "too_short": "a list that is not empty",
}
"""What a value must be, in plain words, by pydantic's error type."""


_FILES = ("backbone.model", "backbone.weights")
"""Fields whose value is a file."""

_IN_TWO_FORMS = (("search", "budgets"),)
"""Fields that are validated in one of two forms, after which pydantic puts the form into the location of an error."""

_RENAMED = {
    "data.outside_links": "data.follow_external_links",
    "data.span": "data.span_pattern",
    "data.spans": "data.span_window",
    "gate.per_class": "gate.max_class_drop",
    "search.budgets.flops": "search.budgets.macs",
    "uncached": "disable_cache",
    "search.objective.max_parameters": "search.budgets.parameters",
    "search.objective.max_flops": "search.budgets.macs",
    "search.objective.max_bytes": "search.budgets.bytes",
    "search.objective.max_latency_ms": "search.budgets.latency_ms",
}
"""Renamed fields: old name to new name."""

_REMOVED = {
    "search.cuts": "one cut with a narrow tail leaves smaller and more accurate networks than two cuts do",
}
"""Removed fields, and why they were removed."""


def explain(error: ErrorDetails, config: SectionType) -> str:
    """Describes one invalid field in one sentence.

    Args:
        error: pydantic's error.
        config: The model that was validated.
    """
    location, context, kind = _without_tag(error["loc"]), error.get("ctx", {}), error["type"]
    field = _dotted(location)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown_field(location, config)
    if kind == "missing":
        return f"{field} is missing."
    if kind == "value_error":
        cause = context["error"]
        if re.split(r"[ \[]", str(cause), maxsplit=1)[0] in fields_of(_section(location, config)):
            return f"{field}.{cause}"
        return f"{field}: {cause}" if isinstance(cause, CompressorError) else f"{field} {cause}"
    value = error["input"]
    words = _MUST_BE[kind].format(**context) if kind in _MUST_BE else error["msg"]
    meant = nearest(str(value), _quoted(context["expected"])) if kind == "literal_error" else None
    hint = f" Did you mean {meant!r}?" if meant else ""
    return f"{field} is {shown(value)}: it must be {words}.{hint}"


@contextmanager
def fields_named(section: str) -> Iterator[None]:
    """Names the field that a wrong argument was read from, and the option that sets it, in the library's errors.

    Args:
        section: The section whose fields are passed as arguments, such as ``"backbone"``.

    Raises:
        CompressorError: The library's error, as in ``backbone.weights: ... Use --set backbone.weights=FILE.``
    """
    try:
        yield
    except CompressorError as error:
        if error.argument is None:
            raise
        field = f"{section}.{error.argument}"
        value = "FILE" if field in _FILES else "VALUE"
        raise CompressorError(f"{field}: {error} Use --set {field}={value}.") from error


def _unknown_field(location: _Location, config: SectionType) -> str:
    """Suggests a known field: the one with the same name in another section, or the most similar one in this."""
    if _dotted(location) in _RENAMED:
        return f"{_dotted(location)} is now {_RENAMED[_dotted(location)]}."
    if _dotted(location) in _REMOVED:
        return f"{_dotted(location)} was removed: {_REMOVED[_dotted(location)]}. Delete the field."
    *section, name = location
    prefix = _dotted(tuple(section))
    siblings = [f"{prefix}.{field}" if prefix else field for field in fields_of(_section(section, config))]
    elsewhere = [field for field in all_fields(config) if field.rpartition(".")[2] == name]
    meant = elsewhere[0] if len(elsewhere) == 1 else nearest(_dotted(location), siblings)
    hint = f" Did you mean {meant!r}?" if meant else ""
    return f"unknown field {_dotted(location)!r}.{hint} Known: {', '.join(siblings)}."


def _section(location: Sequence[int | str], config: SectionType) -> SectionType:
    section = config
    for name in location:
        field = fields_of(section).get(str(name))  # None for an index or a key
        section = (section_in(field.annotation) if field else None) or section
    return section


def all_fields(section: SectionType, prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of a section's fields, each followed by those of its subsections."""
    for name, field in fields_of(section).items():
        yield prefix + name
        if inner := always_section(field.annotation):
            yield from all_fields(inner, f"{prefix}{name}.")


def _without_tag(location: _Location) -> _Location:
    """Leaves out pydantic's name for the form of a field that has several."""
    for field in _IN_TWO_FORMS:
        if location[: len(field)] == field:
            return (*field, *location[len(field) + 1 :])
    return location


def _quoted(expected: str) -> list[str]:
    """The quoted words in pydantic's ``"'a', 'b' or 'c'"``."""
    return expected.split("'")[1::2]


def _dotted(location: _Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """Formats a value for a message: as in YAML, shortened if it is long."""
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    text = "empty" if value is None else text
    return text if len(text) <= 60 else text[:57] + "..."
