"""The command ``compressor`` in warm processes, for tests that start and kill it often."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from warm_process import warm

PATIENCE = 3000.0
"""Seconds after which a process counts as hanging. It is not a limit on the duration of a run: machines may be busy."""


def _compressor(arguments: Sequence[str], screen: str, killed_in: str, after: float) -> None:
    """Runs the command in a process, with its output in a file."""
    os.setsid()
    if killed_in:
        _kill_inside(killed_in, after)
    descriptor = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    from pipelines.cli import main as cli

    sys.argv = ["compressor", *arguments]
    cli.main()


def _kill_inside(node: str, seconds: float) -> None:
    """Kills this process some seconds after a node has started; from within, because some nodes end very fast."""

    def kill_later(record: logging.LogRecord) -> bool:
        if record.getMessage() == f"Component {node} is running.":
            threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGKILL]).start()
        return True

    logging.getLogger("absl").addFilter(kill_later)


class Command:
    """A running command.

    Args:
        arguments: Arguments of ``compressor``.
        screen: File that its output is appended to.
        killed_in: Node inside which it is killed.
        after: Seconds from the start of that node.
    """

    def __init__(self, arguments: Sequence[str], screen: Path, killed_in: str = "", after: float = 0.0) -> None:
        self.screen = screen
        screen.touch()
        self._process = warm.Process(target=_compressor, args=(list(arguments), str(screen), killed_in, after))
        self.started_at = time.time()
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        """Sends a signal, if the command is still running."""
        if self.is_alive:
            os.kill(self.pid, number)

    def ended(self, timeout: float = PATIENCE) -> int:
        """Waits until the command ends; returns the exit status, which is negative for a signal."""
        self._process.join(timeout)
        assert not self.is_alive, f"still running after {timeout} s: {self.said}"
        assert self._process.exitcode is not None
        return self._process.exitcode

    def wait_until(self, what: Callable[[], object], timeout: float = PATIENCE) -> bool:
        """Waits for a condition; returns whether it was met before the command ended."""
        limit = time.monotonic() + timeout
        while not what():
            if not self.is_alive:
                return bool(what())
            assert time.monotonic() < limit, f"not within {timeout} s: {self.said}"
            time.sleep(0.02)
        return True

    def has_begun(self, node: str, output: Path) -> bool:
        """Whether TFX's log says that the run, whose output this is, has started a node."""
        newest = max((output / "logs").glob("*.log"), default=None)
        if newest is None or newest.stat().st_mtime < self.started_at:
            return False
        return node in re.findall(r"Component (\S+) is running", newest.read_text(errors="replace"))

    @property
    def said(self) -> str:
        """All output so far."""
        return self.screen.read_text(errors="replace")
