"""An environment without TensorFlow, in which an app's runtimes are tried."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PACKAGES = ("ai-edge-litert==2.3.0", "mediapipe==1.2.3", "numpy", "pillow")


@functools.cache
def isolated_python() -> str:
    """Makes the environment once; returns its Python. The test is skipped where it cannot be made."""
    uv = shutil.which(os.environ.get("UV", "uv"))
    if uv is None:
        pytest.skip("there is no uv on PATH or in $UV to make an environment without TensorFlow: run make test")
    folder = Path(tempfile.mkdtemp(prefix="without-tensorflow-"))
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", "3.11", str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"LiteRT and MediaPipe cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return str(python)
