"""Starts other processes so that they import this project's own modules."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from compressor_lib.errors import CompressorError

_PROJECT = Path(__file__).parents[2]
_START = Path(__file__).with_name("start_module.py")
SAFE_PATH = "PYTHONSAFEPATH"
"""Environment variable that removes the working folder from the module search path in Python 3.11 and later."""


def module_command(module: str) -> list[str]:
    """Returns the command that runs a module of this project. Append the module's arguments to it.

    Args:
        module: Dotted path of the module. The copy next to this file is run, whatever the working folder is.
    """
    return [sys.executable, str(_START), module]


def keep_others_safe() -> None:
    """Removes the working folder from the module search path of processes that libraries start, such as Beam workers.

    Python 3.10 ignores the variable. If the working folder is the project's own, nothing needs to be removed.
    """
    if Path.cwd() != _PROJECT:
        os.environ.setdefault(SAFE_PATH, "1")


def check_own(*packages: str) -> None:
    """Checks that no other project's folder shadows this project's own packages.

    Args:
        packages: Names of the packages.

    Raises:
        CompressorError: If a package is shadowed, for example by the working folder of a ``python -m``.
    """
    for package in packages:
        found = importlib.util.find_spec(package)
        place = next(iter((found and found.submodule_search_locations) or ()), "nothing")
        if Path(place).resolve() != (_PROJECT / package).resolve():
            raise CompressorError(
                f"{place!r} shadows auto-compressor's own package {package} in {str(_PROJECT)!r}: use the "
                "compressor command, or run python from another folder."
            )
