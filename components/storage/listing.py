"""Lists files and folders without treating any character of a path as a pattern.

TFX, TensorFlow and Beam each have their own rules for patterns, and treat ``[`` and ``?`` in a user's path as patterns.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

from tfx.dsl.io import fileio

from compressor_lib.errors import CompressorError

_SYSTEMS = ("__MACOSX", "@eaDir")  # created by macOS archives and Synology servers


def listed(folder: str) -> list[str]:
    """Returns the names in a folder, sorted, without hidden ones.

    Bytes of a local name that are not UTF-8 become surrogate escapes, as in :func:`os.fsdecode`.

    Args:
        folder: A folder, local or remote.

    Raises:
        OSError: If the folder is missing or cannot be listed.
        tf.errors.OpError: The same, for stores that TensorFlow reads.
    """
    names = fileio.listdir(folder) if _is_remote(folder) else os.listdir(folder)
    # Object stores list folders with a trailing slash.
    return sorted(name for name in (name.rstrip("/") for name in names) if name and not _is_hidden(name))


def is_folder(path: str) -> bool:
    """Returns whether a path is a folder. Links are followed."""
    return bool(fileio.isdir(path) if _is_remote(path) else os.path.isdir(path))


def files_under(folder: str) -> Iterator[str]:
    """Yields the files at any depth below a folder, without hidden files and folders.

    Links to folders are followed, except those that lead back to a parent folder.

    Args:
        folder: A folder, local or remote. A missing folder yields nothing.

    Yields:
        Paths relative to the folder, with forward slashes.
    """
    if not _is_remote(folder):
        yield from _local_files(folder, "", frozenset())
        return
    for at, _, names in fileio.walk(folder):
        below = at.rstrip("/").removeprefix(folder.rstrip("/")).strip("/")
        if not any(_is_hidden(part) for part in below.split("/")):
            yield from (f"{below}/{name}".lstrip("/") for name in names if name and not _is_hidden(name))


def fingerprint(base: str, names: Iterable[str]) -> str:
    """Returns a fingerprint of files by name, size and time.

    Args:
        base: Folder of the files.
        names: Paths relative to the folder.

    Returns:
        The number of files, and a SHA-256 of their names, sizes and times.

    Raises:
        CompressorError: If a file is missing, such as the target of a link.
    """
    digest, count = hashlib.sha256(), 0
    for count, name in enumerate(sorted(names), start=1):  # noqa: B007  - count is used after the loop
        path = os.path.join(base, name)
        try:
            if _is_remote(path):
                found = fileio.stat(path)
                size, changed = found.length, found.mtime_nsec // 10**9
            else:
                stat = os.stat(path)
                size, changed = stat.st_size, int(stat.st_mtime)
        except (fileio.NotFoundError, FileNotFoundError) as error:
            raise CompressorError(
                f"a file in data folder {base!r} cannot be found: {printable(path)}; No such file or directory. "
                "If it is a broken link, delete it."
            ) from error
        digest.update(f"{name}\0{size}\0{changed}\n".encode("utf-8", "surrogateescape"))
    return f"files:{count},sha256:{digest.hexdigest()}"


def is_text(name: str) -> bool:
    """Returns whether a name's bytes are UTF-8, which TensorFlow and Beam require."""
    return printable(name) == name


def printable(name: str) -> str:
    r"""Returns a printable form of a name, with bytes that are not UTF-8 escaped, as in ``caf\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _local_files(folder: str, below: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    try:
        stat = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    if (stat.st_dev, stat.st_ino) in above:
        return
    for entry in entries:
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _local_files(entry.path, f"{below}{entry.name}/", above | {(stat.st_dev, stat.st_ino)})
        else:
            yield f"{below}{entry.name}"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _SYSTEMS


def _is_remote(path: str) -> bool:
    return "://" in path
