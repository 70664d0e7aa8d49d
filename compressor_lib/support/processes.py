"""How the project starts processes of its own, so that they run its own modules."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from compressor_lib.errors import CompressorError

_PROJECT = Path(__file__).parents[2]
_START = Path(__file__).with_name("start_module.py")
SAFE_PATH = "PYTHONSAFEPATH"
"""Environment variable by which Python 3.11 and later keep the working folder out of the places of modules."""


def module_command(module: str) -> list[str]:
    """What a module is started with; its arguments follow.

    Args:
        module: Its dotted path. It is the one beside this file, wherever the process is started.
    """
    return [sys.executable, str(_START), module]


def keep_others_safe() -> None:
    """Keeps the working folder out of processes that libraries start, such as Beam's workers.

    Python 3.10 knows no such variable. Where the working folder is the project's own, nothing needs to be kept out.
    """
    if Path.cwd() != _PROJECT:
        os.environ.setdefault(SAFE_PATH, "1")


def check_own(*packages: str) -> None:
    """Looks for folders of other projects in front of the project's own packages.

    Args:
        packages: Their names.

    Raises:
        CompressorError: If there is one, such as in the working folder of a ``python -m``.
    """
    for package in packages:
        found = importlib.util.find_spec(package)
        place = next(iter((found and found.submodule_search_locations) or ()), "nothing")
        if Path(place).resolve() != (_PROJECT / package).resolve():
            raise CompressorError(
                f"{place!r} stands in place of auto-compressor's own package {package} in {str(_PROJECT)!r}: run the "
                "command compressor, or python from another folder."
            )
