"""The notebooks of `examples/` run from top to bottom, and come with the outputs of such a run."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[2] / "examples").glob("*.ipynb"))
DATA = pathlib.Path(os.environ.get("COMPRESSOR_TEST_DATA", "../shared/data")).absolute()
ON_PHOTOGRAPHS = [pytest.mark.real_data, pytest.mark.long]
PHOTOGRAPHS, WEIGHTS = DATA / "clothing", DATA / "weights" / "mobilenet_v2_1.0_224_no_top.h5"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_comes_with_outputs_that_say_nothing_of_the_machine(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/jpeg" in output.get("data", {}) for output in outputs)
    assert "fewer" in _last_text(notebook)
    assert not [output for output in outputs if output.get("name") == "stderr" or output.output_type == "error"]
    assert str(pathlib.Path.home()) not in json.dumps(outputs)
    assert "site-packages" not in json.dumps(outputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=ON_PHOTOGRAPHS if "published" in path.stem else ()) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    if "published" in path.stem:
        if not (PHOTOGRAPHS.is_dir() and WEIGHTS.is_file()):
            pytest.skip(f"there are no photographs and weights in {DATA}; set COMPRESSOR_TEST_DATA")
        monkeypatch.setenv("IMAGES", str(PHOTOGRAPHS))
        monkeypatch.setenv("WEIGHTS", str(WEIGHTS))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "fewer" in _last_text(notebook)  # what it came to
    assert "retracing" not in json.dumps(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["train", "validation", "test"])
def test_splits_of_other_classes_are_not_joined(lacking, tmp_path, monkeypatch):
    for split in ("train", "validation", "test"):
        for name in ("ant", "cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / split / name / "1.png")
    (tmp_path / "train" / ".DS_Store").touch()
    monkeypatch.setenv("IMAGES", str(tmp_path))
    notebook = nbformat.read(next(path for path in NOTEBOOKS if "published" in path.stem), as_version=4)
    reading = next(cell.source for cell in notebook.cells if "image_dataset_from_directory" in cell.source)
    names: dict[str, Any] = {}
    exec(reading, names)  # noqa: S102 (it is ours)
    assert names["classes"] == ["ant", "cat", "dog"]

    # As many classes as the others, so that shapes alone do not tell.
    (tmp_path / lacking / "cat").rename(tmp_path / lacking / "eel")
    with pytest.raises(ValueError, match="class_names"):
        exec(reading, {})  # noqa: S102


def _last_text(notebook: nbformat.NotebookNode) -> str:
    *_, last = (output["text"] for cell in notebook.cells for output in cell.get("outputs", ()) if "text" in output)
    return str(last)
