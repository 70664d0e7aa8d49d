"""What starts runs on this machine, and what the system's own schedulers are asked."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from compressor_lib.errors import CompressorError
from pipelines.platforms.cron import Cron


class SchedulerName(str, Enum):
    """What can start runs on this machine."""

    systemd = "systemd"
    cron = "cron"
    serve = "serve"


class Scheduler(Protocol):
    """Starts commands when they are due. A schedule is known by its file, which need not be there."""

    def why_not(self, cron: Cron) -> str | None:
        """Why it cannot start runs at these times on this machine; None: it can."""
        ...

    def add(self, file: Path, cron: Cron, command: Sequence[str]) -> None:
        """Starts a command at these times from now on.

        Raises:
            CompressorError: If it is refused; nothing is left behind.
        """
        ...

    def remove(self, file: Path) -> None:
        """Starts the schedule's command no more; one that it does not know is none of its own."""
        ...

    def state(self, file: Path) -> str:
        """A sentence for people that says what starts the runs, or what to do so that something does."""
        ...


def answer(*command: str, given: str | None = None) -> str:
    """Runs a program of the system.

    Args:
        command: Its words.
        given: Its standard input.

    Returns:
        Its standard output.

    Raises:
        CompressorError: If it fails, with what it says.
    """
    try:
        done = subprocess.run(
            command, input=given or "", capture_output=True, encoding="utf-8", errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise CompressorError(f"{command[0]} cannot be run: {error.strerror}.") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise CompressorError(f"{shlex.join(command)} failed: {said}")
    return done.stdout
