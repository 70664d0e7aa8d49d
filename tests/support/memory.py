"""How much memory a process has held."""

from __future__ import annotations

import pathlib
import re


def peak(process: pathlib.Path) -> int:
    """Most bytes that were resident, of a process' folder in /proc."""
    found = re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())
    assert found
    return 1024 * int(found[1])
