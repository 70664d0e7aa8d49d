"""Versions of the software that a run was made with."""

from __future__ import annotations

import platform
from importlib import metadata

import compressor_lib

_PACKAGES = ("tensorflow", "keras", "keras-tuner", "tfx", "apache-beam", "numpy")


def versions() -> dict[str, str]:
    """Returns the versions of the project, of Python and of the libraries that affect the results."""
    found = {"auto-compressor": compressor_lib.__version__, "Python": platform.python_version()}
    return found | {package: metadata.version(package) for package in _PACKAGES}
