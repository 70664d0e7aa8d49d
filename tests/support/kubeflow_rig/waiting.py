"""Waiting for a program that has been started."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for something that a process does.

    Raises:
        RuntimeError: If it ends, or takes too long; with the end of its log.
    """
    limit = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"{log.stem} is not ready:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)
