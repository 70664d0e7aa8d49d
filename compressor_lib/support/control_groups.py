"""The CPU and memory limits of this process, which may be lower than the machine's, as in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> float:
    """Returns the number of cores that this process may use, given its CPU affinity and its control groups.

    Args:
        root: Folder that contains ``/proc`` and ``/sys``.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = []
    for file in _control_files(root, "cpu.max"):
        quota, _, period = file.read_text().partition(" ")
        if quota.isdigit():
            limits.append(int(quota) / int(period))
    return min([float(cores), *limits])


def usable_threads(root: Path = Path("/")) -> int:
    """Returns the number of threads that can run at once: :func:`usable_cores` rounded down, but at least one.

    Args:
        root: Folder that contains ``/proc`` and ``/sys``.
    """
    return max(1, int(usable_cores(root)))


def usable_memory(root: Path = Path("/")) -> int:
    """Returns the memory that this process may use, in bytes: the machine's, or less if a control group limits it.

    Args:
        root: Folder that contains ``/proc`` and ``/sys``.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _control_files(root, "memory.max", "memory/memory.limit_in_bytes"):
        text = file.read_text().strip()
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def _control_files(root: Path, *names: str) -> Iterator[Path]:
    """Yields the control group files with these names, from the process's group up to the root."""
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
