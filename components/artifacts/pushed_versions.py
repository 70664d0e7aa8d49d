"""The versions of a model in a push directory: folders named by numbers, of which serving takes the highest.

A version is complete, or it is not there. On this machine's file systems a folder is renamed when all is in it; object
stores cannot do that, see :mod:`components.artifacts.uploads`, which is imported where it is needed: it brings
TensorFlow, and folders on this machine are looked at without.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compressor_lib.deployment.model_path import SAVED_MODEL
from compressor_lib.errors import CompressorError

WITHDRAWN = ".withdrawn-"
"""In front of the number of a version that was rolled back. It is kept as long as others of its age."""

_STAGING = ".staging-"


def versions(directory: str) -> list[int]:
    """The complete versions in a push directory, which may be in any store, the newest last."""
    numbers = [int(name) for name in _names(directory) if name.isdigit()]
    return sorted(number for number in numbers if _is_complete(os.path.join(directory, str(number))))


def newest_version(directory: str) -> str:
    """The name of the newest one; empty if there is none."""
    return str(max(versions(directory), default=""))


@contextmanager
def staging(directory: str) -> Iterator[str]:
    """A new folder, on this machine, in which a version is prepared; it is gone afterwards.

    Args:
        directory: The push directory, which is made if it is on this machine and not there.

    Raises:
        CompressorError: If it takes no files.
    """
    inside = None if _is_remote(directory) else directory  # a folder is renamed within one file system alone
    try:
        if inside:
            os.makedirs(inside, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=_STAGING, dir=inside)
    except OSError as error:
        raise CompressorError(
            f"push directory {directory!r} cannot be written to ({error.strerror}): set push.directory to another."
        ) from error
    try:
        os.chmod(folder, 0o755)  # what is served is read by others, too
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(prepared: str, directory: str) -> int:
    """Makes a prepared model the newest version.

    Args:
        prepared: Its folder, on this machine; where the push directory is, too, it is moved.
        directory: The push directory.

    Returns:
        The version: the time in seconds, and higher than any there was.
    """
    from components.artifacts.uploads import upload

    while True:
        number = max(int(time.time()), 1 + max(_used_numbers(directory), default=0))
        target = os.path.join(directory, str(number))
        if (upload if _is_remote(directory) else _rename)(prepared, target):
            return number
        time.sleep(random.random())  # another pusher took the number just now; the two should not meet again


def prune(directory: str, keep: int) -> list[int]:
    """Deletes old versions, withdrawn ones and the remains of pushes that were killed a day ago or earlier.

    Args:
        directory: The push directory.
        keep: How many complete versions are kept, the newest.

    Returns:
        The versions that were deleted.
    """
    from components.artifacts import uploads

    kept = versions(directory)[-keep:]
    oldest = kept[0] if kept else 0
    deleted = []
    for name in _names(directory):
        number, folder = _number(name), os.path.join(directory, name)
        if number is not None and (uploads.is_abandoned(folder) if _is_unfinished(folder) else number < oldest):
            uploads.delete(folder)
            deleted.append(number)
        elif name.startswith(_STAGING) and not _is_remote(directory):
            path = Path(directory, name)
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > uploads.ABANDONED_AFTER:
                    shutil.rmtree(path, ignore_errors=True)
    return sorted(deleted)


def roll_back(directory: str) -> tuple[int, int]:
    """Withdraws the newest version, so that the one before it is served again.

    Args:
        directory: The push directory.

    Returns:
        The version that was withdrawn, and the newest one now.

    Raises:
        CompressorError: If there is no version before the newest.
    """
    there = versions(directory)
    if not there:
        raise CompressorError(f"there is no model in {directory!r}: give a push directory, with numbered folders.")
    if len(there) == 1:
        raise CompressorError(
            f"version {there[0]} is the only one in {directory!r}, so there is none to go back to: "
            "raise push.keep, or push another model."
        )
    previous, newest = there[-2:]
    source, target = (os.path.join(directory, name) for name in (str(newest), f"{WITHDRAWN}{newest}"))
    if _is_remote(directory):
        from components.artifacts.uploads import move

        move(source, target)
    else:
        os.rename(source, target)
    return newest, previous


def was_put_away(version: str) -> bool:
    """Whether a version that is gone was withdrawn, or went for newer ones.

    Args:
        version: The folder that it was in, in its push directory.
    """
    directory, name = os.path.split(version)
    return f"{WITHDRAWN}{name}" in _names(directory) or int(name) < min(versions(directory), default=0)


def _is_remote(directory: str) -> bool:
    return "://" in directory


def _names(directory: str) -> list[str]:
    if not _is_remote(directory):
        return os.listdir(directory) if os.path.isdir(directory) else []
    from tfx.dsl.io import fileio

    if not fileio.isdir(directory):
        return []
    return [name.rstrip("/") for name in fileio.listdir(directory)]  # object stores list folders with a slash behind


def _is_complete(version: str) -> bool:
    """Whether a version, in any store, is all there."""
    if not _is_remote(version):
        return os.path.exists(os.path.join(version, SAVED_MODEL))
    from components.artifacts.uploads import is_complete

    return is_complete(version)


def _number(name: str) -> int | None:
    digits = name.removeprefix(WITHDRAWN)
    return int(digits) if digits.isdigit() else None


def _used_numbers(directory: str) -> list[int]:
    return [number for number in map(_number, _names(directory)) if number is not None]


def _rename(prepared: str, target: str) -> bool:
    """Moves a whole folder at once; False if another is there."""
    try:
        os.rename(prepared, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _is_unfinished(folder: str) -> bool:
    """Whether a number's folder may be one that another pusher works on."""
    return _is_remote(folder) and os.path.basename(folder).isdigit() and not _is_complete(folder)
