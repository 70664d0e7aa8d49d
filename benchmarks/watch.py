"""Measures the memory and processor time of a process and its descendants."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_EVERY = 0.5
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Resources used in a period of time.

    Attributes:
        seconds: Length of the period.
        processor_seconds: Processor time of all cores, which depends little on other load of the machine.
        memory: Peak memory in bytes, without pages of mapped files, which the system can reclaim at any time.
    """

    seconds: float
    processor_seconds: float
    memory: float


class Watch:
    """Measures twice a second, on Linux.

    Example:
        >>> with Watch(os.getpid()) as watch:
        ...     began = time.time()
        ...     time.sleep(1)
        >>> watch.between(began, time.time()).memory > 2**20
        True
    """

    def __init__(self, process: int) -> None:
        """Prepares the measurement.

        Args:
            process: Id of the process.
        """
        self._process = process
        self._noted: list[tuple[float, float, float]] = []

    def __enter__(self) -> Watch:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> Load:
        """Returns the resources used between two times, in seconds since 1970."""
        times, processor, memory = np.asarray(self._noted).T
        # The time of an ended process is included in its parent's only if that waited for it.
        spent = np.interp([begin, end], times, np.maximum.accumulate(processor))
        inside = (times >= begin - _EVERY) & (times <= end + _EVERY)
        return Load(end - begin, float(spent[1] - spent[0]), float(memory[inside].max()))

    def _watch(self) -> None:
        while True:
            tree = list(_tree(self._process))
            if tree:
                self._noted.append((time.time(), sum(spent for spent, _ in tree), sum(held for _, held in tree)))
            if self._ended.wait(_EVERY):
                return


def _tree(root: int) -> Iterator[tuple[float, float]]:
    """Yields the processor seconds and bytes of a process and each of its descendants."""
    found: dict[int, list[str]] = {}  # the fields of stat from the third on, see proc(5)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # the process has ended
                found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    family = {root}
    for process in sorted(found):  # a child's id is above its parent's, unless ids have started again at 1
        if int(found[process][1]) in family:
            family.add(process)
    for process in family & found.keys():
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text()
            held = sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))
            yield sum(map(int, found[process][11:15])) / _TICK, held
