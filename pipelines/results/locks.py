"""Locks that end with their process, in files that name their holder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from compressor_lib.errors import CompressorError

LOCK_FILE = "run.lock"
_SINCE = "%Y-%m-%d %H:%M:%S"


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[IO[str]]:
    """Holds a lock (``flock``), and writes its holder into the file.

    Args:
        path: The file. It is kept afterwards; its existence alone does not mean that it is locked.
        wait: Whether to wait until another process releases the lock.

    Yields:
        The file, which a child process may inherit to hold the lock too.

    Raises:
        BlockingIOError: If another process holds it and ``wait`` is false; the message describes that process.
        OSError: If the file cannot be created.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            _taken(file, wait=wait)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(_described(file.read())) from None
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():{_SINCE}}"}, file)
        file.flush()
        yield file


def held_since(path: Path) -> datetime | None:
    """Returns the time since which a process has held a lock.

    Args:
        path: The lock's file.

    Returns:
        The local time, in whole seconds, at which it was taken; None if no process holds it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return datetime.strptime(json.load(file)["since"], _SINCE).astimezone()
    except (OSError, ValueError, KeyError, TypeError):  # there is no such file, or its holder is about to write to it
        pass
    return None


def _taken(file: IO[str], *, wait: bool) -> None:
    """Takes a lock; retries, because :func:`held_since` holds one for a moment."""
    for pause in () if wait else (0.05, 0.05):
        with suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(pause)
    return fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _described(holder: str) -> str:
    """Describes the holder of a lock."""
    try:
        known = json.loads(holder)
        return f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):  # it is about to write it
        return "another process"


class OutputLock:
    """The lock of a run's output folder.

    Args:
        output: The folder, which exists.
    """

    def __init__(self, output: str) -> None:
        self._output = output
        self._path = Path(output, LOCK_FILE)

    @contextmanager
    def held(self) -> Iterator[OutputLock]:
        """Holds the lock.

        Raises:
            CompressorError: If another run holds it, or its file cannot be written, such as on a full disk.
        """
        with ExitStack() as stack:
            try:
                self._file = stack.enter_context(locked(self._path, wait=False))
            except BlockingIOError as error:
                raise CompressorError(
                    f"output {self._output!r} is in use by {error}: wait until it ends, or choose another folder with "
                    "--output."
                ) from None
            except OSError as error:
                raise CompressorError(
                    f"output {self._output!r} cannot be locked ({error.strerror}): correct this, or choose another "
                    "folder with --output."
                ) from error
            yield self

    def check(self) -> None:
        """Checks that the folder is still the one that was locked.

        Raises:
            CompressorError: If it was deleted, moved or replaced.
        """
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            same = False
        if not same:
            raise CompressorError(
                f"output {self._output!r} was deleted or moved during the run: put it back and re-run to resume, or "
                "re-run to start from scratch."
            )
