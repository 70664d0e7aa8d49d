"""The peak memory of a process."""

from __future__ import annotations

import pathlib
import re


def peak(process: pathlib.Path) -> int:
    """The peak resident memory in bytes, from a process's folder in /proc."""
    found = re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())
    assert found
    return 1024 * int(found[1])
