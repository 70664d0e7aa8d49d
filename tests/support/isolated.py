"""An environment without TensorFlow, to test the runtimes of apps."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PACKAGES = ("ai-edge-litert==2.3.0", "mediapipe==1.2.3", "numpy", "opencv-contrib-python-headless", "pillow")
# The other build of OpenCV needs desktop libraries.
OVERRIDES = "opencv-contrib-python ; python_version < '3'\n"

LOADED = """
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions
try:
    ImageClassifier.create_from_options(ImageClassifierOptions(base_options=BaseOptions("nowhere.tflite")))
except Exception as error:
    if "shared object" in str(error):
        raise
"""


@functools.cache
def isolated_python() -> str:
    """Creates the environment once and returns its Python. Skips the test if it cannot be created."""
    uv = shutil.which(os.environ.get("UV", "uv"))
    if uv is None:
        pytest.skip("there is no uv on PATH or in $UV to make an environment without TensorFlow: run make test-all")
    folder = Path(tempfile.mkdtemp(prefix="without-tensorflow-"))
    python, overrides = folder / "venv" / "bin" / "python", folder / "overrides.txt"
    overrides.write_text(OVERRIDES)
    for command in (
        [uv, "venv", "--quiet", "--python", "3.11", str(folder / "venv")],
        [uv, "pip", "install", "--quiet", "--python", str(python), "--overrides", str(overrides), *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"LiteRT and MediaPipe cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return str(python)


@functools.cache
def mediapipe_python() -> str:
    """Returns the same Python. Skips the test if MediaPipe finds no graphics library."""
    python = isolated_python()
    done = subprocess.run([python, "-I", "-c", LOADED], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        pytest.skip(f"MediaPipe cannot be loaded: {reason} (Debian's packages libegl1 and libgles2 have what it needs)")
    return python
