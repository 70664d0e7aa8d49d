"""What a process may use of its machine: in a container less than there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> float:
    """The cores that this process may use: no more than it is held to, and than control groups allow.

    Args:
        root: Folder of ``/proc`` and ``/sys``.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = []
    for file in _control_files(root, "cpu.max"):
        quota, _, period = file.read_text().partition(" ")
        if quota.isdigit():
            limits.append(int(quota) / int(period))
    return min([float(cores), *limits])


def usable_threads(root: Path = Path("/")) -> int:
    """How many threads can be busy at a time: the whole ones of :func:`usable_cores`, and at least one.

    Args:
        root: As there.
    """
    return max(1, int(usable_cores(root)))


def usable_memory(root: Path = Path("/")) -> int:
    """The memory that this process may use, in bytes: the machine's, or less where a control group says so.

    Args:
        root: Folder of ``/proc`` and ``/sys``.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _control_files(root, "memory.max", "memory/memory.limit_in_bytes"):
        text = file.read_text().strip()
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def _control_files(root: Path, *names: str) -> Iterator[Path]:
    """The control group's files of these names: in a container at the top, else in each group around the process."""
    groups = root / "sys/fs/cgroup"
    folders = [groups]
    try:
        own = (root / "proc/self/cgroup").read_text().rpartition("::")[2].strip()
        folders += [groups / own.lstrip("/"), *(groups / own.lstrip("/")).parents]
    except OSError:
        pass
    for folder in dict.fromkeys(folder for folder in folders if folder.is_relative_to(groups)):
        for name in names:
            if (folder / name).is_file():
                yield folder / name
