"""Links to output folders whose paths contain characters that TFX, TensorFlow and Beam read as patterns.

Beam builds file patterns from an artifact's path and cannot escape ``[``, ``?`` or ``*``. Artifacts are therefore
accessed through a link, placed beside the first folder in the path whose name has such a character.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from compressor_lib.deployment.literal_path import has_pattern
from compressor_lib.errors import CompressorError


def plain_path(path: str) -> str:
    """Returns a path without pattern characters.

    Args:
        path: Absolute path of a folder.

    Returns:
        The path itself if it is remote or has no such characters; otherwise the path of a link to it, which
        :func:`link_plain_path` creates.

    Example:
        >>> plain_path("/data/runs/digits")
        '/data/runs/digits'
        >>> plain_path("/data/[new]/runs")
        '/data/.compressor-195b9395be88'
    """
    if "://" in path or not has_pattern(path):
        return path
    above = next(str(folder) for folder in Path(path).parents if not has_pattern(str(folder)))
    return os.path.join(above, f".compressor-{hashlib.sha256(path.encode()).hexdigest()[:12]}")


def link_plain_path(path: str) -> None:
    """Creates the folder and, if :func:`plain_path` needs one, the link to it.

    Args:
        path: Absolute path of a folder.

    Raises:
        CompressorError: If the link cannot be created.
    """
    link = plain_path(path)
    if link == path or (os.path.islink(link) and os.readlink(link) == path and os.path.isdir(path)):
        return
    try:
        os.makedirs(path, exist_ok=True)
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(path, link)
    except OSError as error:
        raise CompressorError(
            f"output {path!r} has characters that TFX reads as patterns (such as [ and ?), and "
            f"the link {link!r} to it cannot be created ({error.strerror}): choose a folder without them with --output."
        ) from error
