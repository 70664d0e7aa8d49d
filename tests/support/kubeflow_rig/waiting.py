"""Waiting for a condition."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0


def until(ready: Callable[[], object], process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    """Waits for a condition.

    Args:
        ready: Returns whether the condition is met.
        process: The process that is to meet it, if there is one.
        log: Log of the process.

    Raises:
        RuntimeError: If the process ends, or the wait takes too long; the message has the end of the log.
    """
    limit = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > limit or (process and process.poll() is not None):
            raise RuntimeError(log.read_text(errors="replace")[-4000:] if log else "waited in vain")
        time.sleep(0.05)
