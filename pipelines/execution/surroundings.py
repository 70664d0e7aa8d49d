"""Checks and prepares the process that the command line runs in."""

from __future__ import annotations

import os
import tempfile

from compressor_lib.errors import CompressorError
from compressor_lib.support.processes import check_own, keep_others_safe
from compressor_lib.support.proxies import exempt_loopback


def prepare() -> None:
    """Checks the working folder and the packages, and sets environment variables for libraries and child processes.

    Raises:
        CompressorError: If the working folder was deleted, or holds a package that hides one of the project's.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise CompressorError(
            f"the working folder cannot be read ({error.strerror}), because it was deleted or moved: use cd to change "
            "to another folder, or to the same one again."
        ) from error
    if os.path.expanduser("~") == "~":  # neither HOME nor a passwd entry, which some libraries require
        os.environ["HOME"] = tempfile.gettempdir()
    check_own("components")
    keep_others_safe()
    exempt_loopback()
