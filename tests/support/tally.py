"""The table of faults: how often each was tried and survived."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Tally:
    """Counts how often each fault was tried and survived."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {}

    def count(self, fault: str, *, survived: bool) -> None:
        """Counts one try of a fault."""
        row = self._rows.setdefault(fault, [0, 0])
        row[0] += 1
        row[1] += survived

    @contextmanager
    def __call__(self, fault: str) -> Iterator[None]:
        """``with tally("kill -9"): ...`` is a try, survived if nothing is raised."""
        survived = False
        try:
            yield
            survived = True
        finally:
            self.count(fault, survived=survived)

    def table(self) -> list[str]:
        """The lines of the table; empty if nothing was tried."""
        if not self._rows:
            return []
        rows = [f"| {fault} | {tried} | {well} | {tried - well} |" for fault, (tried, well) in self._rows.items()]
        return ["| fault | times tried | survived | lost |", "|---|---|---|---|", *rows]
