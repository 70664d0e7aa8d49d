"""Checks Keras' settings without importing Keras, because Keras fails to import under some settings."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from compressor_lib.errors import CompressorError

NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
"""The Keras settings that this project requires, by their names in ``keras.json``."""

_BACKEND = "KERAS_BACKEND"


def check_keras() -> None:
    """Rejects Keras settings that this project does not support.

    Raises:
        CompressorError: If a setting is not supported. The message names the source of the setting.
    """
    for name, (value, source) in _settings().items():
        if value != NEEDED[name]:
            raise CompressorError(
                f"Keras' {name} is set to {value!r} by {source}, but auto-compressor needs {NEEDED[name]!r}: "
                "change or remove the setting."
            )


def _settings() -> dict[str, tuple[object, str]]:
    """Returns the settings that differ from Keras' defaults, and the source of each."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):  # if Keras is imported, its current settings count
        return {name: (getattr(keras.config, name)(), "this program") for name in NEEDED}
    file = _folder() / "keras.json"
    found = {name: (value, f"'{file}'") for name, value in _content(file).items() if name in NEEDED}
    if os.environ.get(_BACKEND):
        found["backend"] = (os.environ[_BACKEND], f"the environment variable {_BACKEND}")
    return found


def _folder() -> Path:
    """Returns the folder in which Keras looks for its file (``keras/src/backend/config.py``)."""
    if "KERAS_HOME" in os.environ:
        return Path(os.path.expanduser(os.environ["KERAS_HOME"]))
    home = os.path.expanduser("~")
    return Path(home if os.access(home, os.W_OK) else "/tmp", ".keras")


def _content(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras ignores it, too
        return {}
    return content if isinstance(content, dict) else {}
