"""What the command line needs of the process it runs in, looked at before anything else."""

from __future__ import annotations

import os
import tempfile

from compressor_lib.errors import CompressorError
from compressor_lib.support.processes import check_own, keep_others_safe
from compressor_lib.support.proxies import exempt_loopback


def prepare() -> None:
    """Looks at the working folder and at the packages, and sets what libraries and child processes read.

    Raises:
        CompressorError: If the working folder is gone, or holds a package in the place of one of the project's.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise CompressorError(
            f"the working folder cannot be read ({error.strerror}): it was deleted or moved; change to another one, "
            "or to the same one again, by cd."
        ) from error
    if os.path.expanduser("~") == "~":  # neither HOME nor an entry for this user, which libraries do not bear
        os.environ["HOME"] = tempfile.gettempdir()
    check_own("components")
    keep_others_safe()
    exempt_loopback()
