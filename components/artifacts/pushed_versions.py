"""Versions of a model in a push directory: numbered folders, of which the highest number is served.

A version is either complete or absent. On local file systems, a complete folder is renamed into place. Object stores
cannot do that, see :mod:`components.artifacts.uploads`. That module is imported only when needed, because it imports
TensorFlow, which local folders do not need.
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

from compressor_lib.deployment.family import is_member_name
from compressor_lib.deployment.model_path import SAVED_MODEL
from compressor_lib.errors import CompressorError

WITHDRAWN = ".withdrawn-"
"""Prefix of a version that was rolled back. It is kept as long as other versions of the same age."""

_STAGING = ".staging-"


def versions(directory: str) -> list[int]:
    """Returns the complete versions in a push directory in any store, the newest last."""
    numbers = [int(name) for name in _names(directory) if name.isdigit()]
    return sorted(number for number in numbers if _is_complete(os.path.join(directory, str(number))))


def newest_version(directory: str) -> str:
    """Returns the name of the newest version, or an empty string if there is none."""
    return str(max(versions(directory), default=""))


def family_in(directory: str) -> list[str]:
    """Returns the names of the models of a family in a push directory: folders in it that hold versions."""
    names = [name for name in _names(directory) if is_member_name(name)]
    return sorted(name for name in names if versions(os.path.join(directory, name)))


def newest_versions(directory: str) -> str:
    """Returns the newest version of every model in a push directory, in a text that changes with each push."""
    newest = {name: newest_version(os.path.join(directory, name)) for name in family_in(directory)}
    return " ".join(filter(None, [newest_version(directory), *(f"{name}/{one}" for name, one in newest.items())]))


@contextmanager
def staging(directory: str) -> Iterator[str]:
    """Yields a new local folder in which a version is prepared. The folder is deleted afterwards.

    Args:
        directory: The push directory. A local one is created if it does not exist.

    Raises:
        CompressorError: If the push directory is not writable.
    """
    inside = None if _is_remote(directory) else directory  # a folder can only be renamed within one file system
    try:
        if inside:
            os.makedirs(inside, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=_STAGING, dir=inside)
    except OSError as error:
        raise CompressorError(
            f"push directory {directory!r} cannot be written to ({error.strerror}): set push.directory to another."
        ) from error
    try:
        os.chmod(folder, 0o755)  # other users read the served files
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(prepared: str, directory: str) -> int:
    """Publishes a prepared model as the newest version.

    Args:
        prepared: Local folder of the model. It is moved if the push directory is local too.
        directory: The push directory.

    Returns:
        The version: the time in seconds, but higher than any earlier version.
    """
    from components.artifacts.uploads import upload

    while True:
        number = max(int(time.time()), 1 + max(_used_numbers(directory), default=0))
        target = os.path.join(directory, str(number))
        if (upload if _is_remote(directory) else _rename)(prepared, target):
            return number
        time.sleep(random.random())  # another pusher just took the number; a random delay prevents another clash


def prune(directory: str, keep: int) -> list[int]:
    """Deletes old versions, withdrawn versions and the remains of pushes killed at least a day ago.

    Args:
        directory: The push directory.
        keep: Number of complete versions to keep.

    Returns:
        The deleted versions.
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
    """Withdraws the newest version, so that the previous version is served again.

    Args:
        directory: The push directory.

    Returns:
        The withdrawn version, and the version that is now the newest.

    Raises:
        CompressorError: If there is no earlier version.
    """
    there = versions(directory)
    if not there and (family := family_in(directory)):
        raise CompressorError(
            f"{directory!r} has the models of a family, {', '.join(family)}: choose one with --model, such as "
            f"--model {family[0]}."
        )
    if not there:
        raise CompressorError(f"there is no model in {directory!r}: give a push directory, with numbered folders.")
    if len(there) == 1:
        raise CompressorError(
            f"version {there[0]} is the only one in {directory!r}, so there is no earlier version: "
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
    """Returns whether a missing version was withdrawn or pruned.

    Args:
        version: Former folder of the version in its push directory.
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
    return [name.rstrip("/") for name in fileio.listdir(directory)]  # object stores list folders with a trailing slash


def _is_complete(version: str) -> bool:
    """Returns whether a version in any store is complete."""
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
    """Moves a whole folder atomically. Returns False if the target exists."""
    try:
        os.rename(prepared, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _is_unfinished(folder: str) -> bool:
    """Returns whether another pusher may still be writing a version's folder."""
    return _is_remote(folder) and os.path.basename(folder).isdigit() and not _is_complete(folder)
