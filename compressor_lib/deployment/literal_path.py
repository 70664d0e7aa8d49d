"""Paths that TensorFlow takes for patterns where it loads a SavedModel's variables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_IN_PATTERNS = frozenset("*?[]\\")


def has_pattern(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path holds characters that stand for patterns."""
    return not _IN_PATTERNS.isdisjoint(os.fspath(path))


@contextmanager
def literal_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Gives a path by which TensorFlow reads a folder whatever characters its own path has.

    Args:
        path: A folder.

    Yields:
        The path itself if it has no pattern characters, or is remote; else a link to it, for as long as the context.
    """
    path = os.fspath(path)
    if "://" in path or not has_pattern(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="compressor-") as folder:
        link = os.path.join(folder, "link")
        os.symlink(os.path.abspath(path), link)
        yield link
