"""Locks that end with their process, in files that say who holds them."""

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
    """Holds a lock (``flock``), and says in its file who does.

    Args:
        path: The file; it stays, and is no lock by itself.
        wait: Whether to wait for whoever holds it.

    Yields:
        The file, which a child process may inherit to hold the lock too.

    Raises:
        BlockingIOError: If another process holds it, and there is no waiting; with its :class:`owner`'s description.
        OSError: If the file cannot be made.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            _taken(file, wait=wait)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(_told(file.read())) from None
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():{_SINCE}}"}, file)
        file.flush()
        yield file


def held_since(path: Path) -> datetime | None:
    """Says since when a process holds a lock.

    Args:
        path: The lock's file.

    Returns:
        The local time, in whole seconds, at which it was taken; None where no process holds it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return datetime.strptime(json.load(file)["since"], _SINCE).astimezone()
    except (OSError, ValueError, KeyError, TypeError):  # there is no such file, or its owner is about to write to it
        pass
    return None


def _taken(file: IO[str], *, wait: bool) -> None:
    """Takes a lock; one that is only looked at (:func:`held_since`) is free a moment later."""
    for pause in () if wait else (0.05, 0.05):
        with suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(pause)
    return fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _told(owner: str) -> str:
    """Who holds a lock, in words."""
    try:
        known = json.loads(owner)
        return f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):  # it is about to say so
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
        """Holds it.

        Raises:
            CompressorError: If another run does, or its file cannot be written, as where the disk is full.
        """
        with ExitStack() as stack:
            try:
                self._file = stack.enter_context(locked(self._path, wait=False))
            except BlockingIOError as error:
                raise CompressorError(
                    f"output {self._output!r} is in use by {error}: wait for its end, or give another folder by "
                    "--output."
                ) from None
            except OSError as error:
                raise CompressorError(
                    f"output {self._output!r} cannot be locked ({error.strerror}): put that right, or give another "
                    "folder by --output."
                ) from error
            yield self

    def check(self) -> None:
        """Makes sure that the folder is still the one that was locked.

        Raises:
            CompressorError: If it was deleted, moved or replaced.
        """
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            same = False
        if not same:
            raise CompressorError(
                f"output {self._output!r} was deleted or moved while the run went on: put it back to go on from what "
                "it holds, or run again to start anew."
            )
