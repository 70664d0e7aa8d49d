"""The configurations and the Python in the documentation: sections that are taken, names and arguments that exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
from typing import Any

import pytest
import yaml
from pages import Block, blocks

from pipelines.config.config import Config

MINIMAL: dict[str, Any] = {"name": "mine", "data": {"source": "digits"}, "backbone": {"name": "MobileNetV2"}}
OURS = ("compressor_lib", "components", "pipelines")


def named(found: list[Block]) -> Any:
    return pytest.mark.parametrize("block", found, ids=[f"{block.page}:{block.text[:30]}" for block in found])


@named(list(blocks("yaml")))
def test_a_configuration_in_the_documentation_is_right(block, tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    pathlib.Path("images").mkdir()
    if "mine.keras" in block.text:
        images = keras.Input((32, 32, 3))
        keras.Model(images, keras.layers.Conv2D(2, 32)(images)).save("mine.keras")
    values = yaml.safe_load(block.text)

    Config.model_validate({**MINIMAL, **values})


@named(list(blocks("python")))
def test_python_in_the_documentation_uses_what_is_there(block):
    tree = ast.parse(block.text)

    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(OURS):
            module = importlib.import_module(node.module)
            known |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
            given = {keyword.arg: None for keyword in node.keywords if keyword.arg}
            inspect.signature(known[node.func.id]).bind_partial(*node.args, **given)
