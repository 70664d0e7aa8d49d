"""The base class of all sections, and helpers for paths."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from compressor_lib.options import Options

AnyOptions = TypeVar("AnyOptions", bound=Options)


class Section(BaseModel):
    """Base class of the sections declared here: unknown fields are refused, and values are read-only.

    The other sections are the library's option dataclasses, which pydantic validates just as strictly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionType = type[BaseModel] | type[Options]


def is_section(kind: Any) -> bool:
    """Whether a type is a section."""
    return isinstance(kind, type) and issubclass(kind, BaseModel | Options)


def fields_of(section: SectionType) -> dict[str, FieldInfo]:
    """A section's fields, by name."""
    if issubclass(section, BaseModel):
        return section.model_fields
    hints, words = get_type_hints(section, include_extras=True), _described(section)
    fields = {}
    for field in dataclasses.fields(section):
        fields[field.name] = FieldInfo.from_annotated_attribute(hints[field.name], field)
        fields[field.name].description = words.get(field.name)
    return fields


def declared_in(options: type[Options], name: str, *, prefix: str = "") -> Any:
    """A field of a section that an option of a node or of the library declares: with its default, limits and text.

    Args:
        options: Class of the options.
        name: Name of the option, and of the field.
        prefix: Beginning of the description, such as ``"folder: "``.
    """
    field = fields_of(options)[name]
    if prefix and field.description:
        field.description = f"{prefix}{field.description[0].lower()}{field.description[1:]}"
    return field


def options_in(section: Section, options: type[AnyOptions]) -> AnyOptions:
    """The options that fields of a section declare with :func:`declared_in`."""
    return options(**{field.name: getattr(section, field.name) for field in dataclasses.fields(options)})


def section_in(annotation: Any) -> SectionType | None:
    """The section class in a field's annotation: bare, in a list or mapping, or optional."""
    if is_section(annotation):
        return annotation
    return next((found for found in map(section_in, get_args(annotation)) if found), None)


def always_section(annotation: Any) -> SectionType | None:
    """The section class in a field's annotation if the field always has one, alone or as the first of two forms."""
    if is_section(annotation):
        return annotation
    parts = [part.__origin__ if get_origin(part) is Annotated else part for part in get_args(annotation)]
    return next((part for part in parts if is_section(part)), None) if NoneType not in parts else None


def _described(section: type) -> dict[str, str]:
    """Reads the descriptions of a dataclass's attributes from its docstring and those of its base classes."""
    words = {}
    for kind in reversed(section.__mro__):
        _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
        for name, text in re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", attributes.partition("\n\n")[0], re.MULTILINE):
            words[name] = " ".join(text.split())
    return words


def absolute(path: str) -> str:
    """Makes a local path absolute, relative to the current directory; leaves ``gs://...`` unchanged.

    Raises:
        ValueError: If the path is empty, or not UTF-8, which TensorFlow and Beam require.
    """
    if not path:
        raise ValueError("is empty: give a path.")
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if shown != path:
        raise ValueError(f"is '{shown}', which is not UTF-8: rename it.")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def existing_file(path: str, advice: str) -> str:
    """Makes a path absolute; refuses a local path that is not a file."""
    path = absolute(path)
    if "://" not in path and not os.path.isfile(path):
        raise ValueError(f"is {path!r}, which is not a file: {advice}.")
    return path


def weights_file(weights: str) -> str:
    """Makes the path of a weights file absolute; accepts ``imagenet`` and ``none`` instead of a file."""
    return weights if weights in ("imagenet", "none") else existing_file(weights, "give one, or 'imagenet' or 'none'")
