"""A way to an output folder whose path holds characters that TFX, TensorFlow and Beam take for patterns.

Beam writes and reads an artifact's files by patterns made of its path, and knows no way to write ``[``, ``?`` or ``*``
as such. So artifacts are reached by a link, which stands beside the first folder on the way that has such a character.
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
        path: An absolute path of a folder.

    Returns:
        The path itself if it has none, or is remote; else that of a link to it, which :func:`link_plain_path` makes.

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
    """Makes the folder and, where :func:`plain_path` needs one, the link to it.

    Args:
        path: An absolute path of a folder.

    Raises:
        CompressorError: The link cannot be made.
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
            f"output {path!r} holds characters that stand for patterns in TFX (such as [ and ?), and "
            f"a link to it cannot be made as {link!r} ({error.strerror}): give a folder without them by --output."
        ) from error
