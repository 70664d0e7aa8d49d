"""The files of a model, in any store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from tfx.dsl.io import fileio


def model_files(directory: str) -> Iterator[str]:
    """Yields the paths of all files below a folder, relative to it, in order."""
    found = []
    for folder, _, names in fileio.walk(directory):
        inside = os.path.relpath(_text(folder), directory)
        found += [os.path.normpath(os.path.join(inside, _text(name))) for name in names]
    yield from sorted(found)


def files_sha256(directory: str) -> str:
    """Returns a hash of the paths and contents of all files below a folder.

    Args:
        directory: The folder.

    Returns:
        64 hexadecimal digits, independent of the folder's location.
    """
    whole = hashlib.sha256()
    for path in model_files(directory):
        content = hashlib.sha256()
        with fileio.open(os.path.join(directory, path), "rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        whole.update(f"{path}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode()
