"""The interface of this machine's schedulers, and a function that runs their programs."""

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
    """The schedulers that can start runs on this machine."""

    systemd = "systemd"
    cron = "cron"
    serve = "serve"


class Scheduler(Protocol):
    """Starts commands when they are due. Schedules are identified by their files, which need not exist."""

    def why_not(self, cron: Cron) -> str | None:
        """Returns why it cannot start runs at these times on this machine; None if it can."""
        ...

    def add(self, file: Path, cron: Cron, command: Sequence[str]) -> None:
        """Starts a command at these times from now on.

        Args:
            file: The schedule's file, which identifies it.
            cron: Times of the runs.
            command: Command that starts a run.

        Raises:
            CompressorError: If the scheduler refuses; nothing is left behind.
        """
        ...

    def remove(self, file: Path) -> None:
        """Stops starting the schedule's command. Does nothing for an unknown schedule."""
        ...

    def state(self, file: Path) -> str:
        """Describes in a sentence what starts the runs, or what to do if nothing does."""
        ...


def output_of(*command: str, given: str | None = None) -> str:
    """Runs a program of the system.

    Args:
        command: The program and its arguments.
        given: Its standard input.

    Returns:
        Its standard output.

    Raises:
        CompressorError: If it fails; the message contains its output.
    """
    try:
        done = subprocess.run(
            command, input=given or "", capture_output=True, encoding="utf-8", errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise CompressorError(f"{command[0]} cannot be run: {error.strerror}.") from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise CompressorError(f"{shlex.join(command)} failed: {reason}")
    return done.stdout
