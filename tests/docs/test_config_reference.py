"""The page on the configuration: it names every field, and says rightly which are required."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from docs.hooks.config_reference import reference
from pipelines.config.config import Config
from pipelines.config.sections.base import SectionType, fields_of, is_section

MINIMAL: dict[str, Any] = {"name": "mine", "data": {"source": "digits"}, "backbone": {"name": "MobileNetV2"}}


def sections(model: SectionType, path: str = "") -> Iterator[tuple[str, SectionType]]:
    """Every section of the configuration, by its path as the page writes it."""
    yield path, model
    for name, field in fields_of(model).items():
        waiting = [field.annotation]
        while waiting:
            kind = waiting.pop()
            if is_section(kind):
                suffix = {"volumes": "[]", "backbones": "[]", "resources": ".<node>"}.get(name, "")
                yield from sections(kind, f"{path}.{name}{suffix}".lstrip("."))
            else:
                waiting += get_args(kind)


def tables() -> dict[str, dict[str, list[str]]]:
    """The page's rows by section and field: value, default and meaning."""
    found: dict[str, dict[str, list[str]]] = {}
    path = ""
    for line in reference().splitlines():
        if heading := re.fullmatch(r"#{2,} `(.+)`", line):
            path = heading[1]
        if row := re.fullmatch(r"\| `(\w+)` \|(.*)\|", line):
            found.setdefault(path, {})[row[1]] = [cell.strip() for cell in re.split(r"(?<!\\)\|", row[2])]
    return found


def test_every_field_has_a_row_with_its_meaning():
    page = tables()

    for path, model in sections(Config):
        assert list(page[path]) == list(fields_of(model)), path
        for field, (value, default, meaning) in page[path].items():
            assert value, f"{path}.{field} has no value"
            assert default, f"{path}.{field} has no default"
            assert meaning, f"{path}.{field} has no description"


def test_limits_choices_and_defaults_are_told():
    page = tables()

    assert page["search"]["tuner"][:2] == ["`hyperband` · `bayesian` · `random` · `grid`", '`"hyperband"`']
    assert page["search"]["tau"][:2] == ["number, ≥ 0, ≤ 1", "`0.8`"]
    assert page["search"]["tail_units"][0] == "list of whole number, > 0, at least 1 long"
    assert page["vertex"]["training"][:2] == ["[section](#vertextraining)", "`null`"]


@pytest.mark.parametrize("field", [name for name, (_, default, _) in tables()[""].items() if default == "*required*"])
def test_a_required_field_is_required(field):
    Config.model_validate(MINIMAL)

    with pytest.raises(ValidationError):
        Config.model_validate({name: value for name, value in MINIMAL.items() if name != field})


def test_a_field_that_is_not_required_may_be_left_out():
    required = {name for name, (_, default, _) in tables()[""].items() if default == "*required*"}

    assert required == set(MINIMAL)
