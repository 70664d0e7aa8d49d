"""Folders whose paths TensorFlow would misread as patterns when it loads a SavedModel's variables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_IN_PATTERNS = frozenset("*?[]\\")


def has_pattern(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path contains pattern characters."""
    return not _IN_PATTERNS.isdisjoint(os.fspath(path))


@contextmanager
def literal_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a path through which TensorFlow can read a folder, even if the folder's own path looks like a pattern.

    Args:
        path: Path of the folder.

    Yields:
        The path itself if it has no pattern characters or is remote. Otherwise a temporary link to the folder, which
        exists until the context ends.
    """
    path = os.fspath(path)
    if "://" in path or not has_pattern(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="compressor-") as folder:
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(path), link)
        yield link
