"""Folders of tiny pictures."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image


def picture_bytes(kind: str = "JPEG", mode: str = "RGB", seed: int = 0) -> bytes:
    """Encodes an 8 x 6 picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture(name="picture_bytes")
def picture_bytes_fixture():
    return picture_bytes


@pytest.fixture
def make_folder(tmp_path):
    """Makes a folder of JPEGs: ``make_folder({"cat": 3, "dog": 4})``, one count a class folder."""

    def make(counts: dict[str, int], root: str = "pictures") -> pathlib.Path:
        base = tmp_path / root
        for folder, count in counts.items():
            (base / folder).mkdir(parents=True)
            for number in range(count):
                content = picture_bytes(seed=number)
                (base / folder / f"{number:03}.jpg").write_bytes(content)
        return base

    return make
