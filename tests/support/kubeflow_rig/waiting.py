"""Waiting for what something else does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0


def until(ready: Callable[[], object], process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    """Waits for something.

    Args:
        ready: Whether it has happened.
        process: What does it, if that is a process.
        log: That of the process.

    Raises:
        RuntimeError: If the process ends, or it takes too long; with the end of the log.
    """
    limit = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > limit or (process and process.poll() is not None):
            raise RuntimeError(log.read_text(errors="replace")[-4000:] if log else "waited in vain")
        time.sleep(0.05)
