from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipelines.execution.digits import IMAGES, SIDE, write_digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "data"
    write_digits(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def test_every_digit_is_an_image_in_its_class(folder):
    counts = {f.name: len(list(f.iterdir())) for f in folder.iterdir()}
    labels = load_digits().target
    assert counts == {str(d): int((labels == d).sum()) for d in range(10)}
    assert sum(counts.values()) == IMAGES


def test_an_image_shows_its_digit(folder):
    image = Image.open(folder / "0" / "0000.png")
    assert image.size == (SIDE, SIDE)
    small = np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float64)
    original = load_digits().images[0]
    assert np.corrcoef(small.ravel(), original.ravel())[0, 1] > 0.95


def test_complete_folder_is_left_alone(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    write_digits(folder)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")} == before


def test_incomplete_folder_and_leftovers_are_replaced(folder, tmp_path):
    (tmp_path / "data" / "0").mkdir(parents=True)
    (tmp_path / "data" / "0" / "0000.png").write_bytes(b"half")
    (tmp_path / "data.partial").mkdir()
    write_digits(tmp_path / "data")
    assert contents(tmp_path / "data") == contents(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
