"""What Keras must be set to; it is looked at without Keras, which cannot even be imported under some settings."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from compressor_lib.errors import CompressorError

NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
"""Keras' settings that this project is written for, by their names in ``keras.json``."""

_BACKEND = "KERAS_BACKEND"


def check_keras() -> None:
    """Refuses settings of Keras under which nothing here would work.

    Raises:
        CompressorError: If there is one; it says where the setting comes from.
    """
    for name, (value, source) in _settings().items():
        if value != NEEDED[name]:
            raise CompressorError(
                f"Keras' {name} is {value!r} by {source}, and auto-compressor needs {NEEDED[name]!r}: set it to that "
                "or take it out"
            )


def _settings() -> dict[str, tuple[object, str]]:
    """The settings that are not Keras' own, and where each comes from."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):  # it is imported: what counts is what it took, or was told since
        return {name: (getattr(keras.config, name)(), "this program") for name in NEEDED}
    file = _folder() / "keras.json"
    found = {name: (value, f"'{file}'") for name, value in _content(file).items() if name in NEEDED}
    if os.environ.get(_BACKEND):
        found["backend"] = (os.environ[_BACKEND], f"the environment variable {_BACKEND}")
    return found


def _folder() -> Path:
    """Where Keras looks for its file (``keras/src/backend/config.py``)."""
    if "KERAS_HOME" in os.environ:
        return Path(os.path.expanduser(os.environ["KERAS_HOME"]))
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp", ".keras")


def _content(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras passes it over, too
        return {}
    return content if isinstance(content, dict) else {}
