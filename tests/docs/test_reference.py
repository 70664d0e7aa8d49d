"""The pages of the API show what is public."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import compressor_lib

ROOT = Path(__file__).parents[2]


def shown(page: str) -> set[str]:
    return set(re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "reference" / page).read_text(), re.MULTILINE))


def public_names(module: Path) -> list[str]:
    """Returns the names in the ``__all__`` of a module, which is not imported."""
    for statement in ast.parse(module.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return list(ast.literal_eval(statement.value))
    return []


def test_every_public_name_of_the_library_is_documented():
    assert {f"compressor_lib.{name}" for name in compressor_lib.__all__} <= shown("library.md")


def test_every_component_is_documented():
    folders = sorted((ROOT / "components").glob("*/__init__.py"))
    components = {f"components.{file.parent.name}.{name}" for file in folders for name in public_names(file)}
    assert len(components) > 10
    assert components <= shown("components.md")
