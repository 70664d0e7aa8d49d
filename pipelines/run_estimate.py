"""How long the rest of a run takes: from what its nodes took the last time, and from what they take now."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from compressor_lib.progress import Progress
from pipelines.events import ENDS, Event

SEARCH, REFERENCE, RETRAIN = "PruningSearch", "reference", "retrain"
_LONG = (SEARCH, REFERENCE, RETRAIN)
_LEAST_SHARE = 0.05
"""Less of a node says too little of the rest of it."""


def earlier_seconds(events_file: Path) -> dict[str, float]:
    """Reads what each node took when it last ran to its end, from an output folder's ``events.jsonl``.

    Args:
        events_file: As :class:`pipelines.events.EventsFile` writes it; it may be missing, or end in half a line.

    Returns:
        Seconds by node.
    """
    took: dict[str, float] = {}
    try:
        lines = events_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return took
    for line in lines:
        try:
            event = json.loads(line)
            if event["event"] == "done":
                took[event["node"]] = float(event["seconds"])
        except (ValueError, KeyError, TypeError):
            continue
    return took


class RunEstimate:
    """Follows the events of a run, and estimates what is left of it.

    A node that never ran before is expected to take as long as the median of this run's short nodes; the retraining, as
    long for an epoch as the reference's training. Of a search nothing is known before its first trials.

    Args:
        earlier: Seconds by node, from :func:`earlier_seconds`.
        epochs: Most epochs of the reference's training and of the retraining, by node.
        clock: Seconds that go by.

    Example:
        >>> estimate = RunEstimate({"Transform": 20.0}, {"reference": 5, "retrain": 10})
        >>> estimate(Event("run", nodes=("Transform",)))
        >>> estimate.seconds_left()
        20.0
    """

    def __init__(
        self,
        earlier: Mapping[str, float],
        epochs: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._earlier, self._epochs, self._clock = dict(earlier), dict(epochs), clock
        self._to_come: list[str] = []
        self._took: dict[str, float] = {}
        self._node, self._since = "", 0.0
        self._share = 0.0
        self._first: tuple[float, float] | None = None

    def __call__(self, event: Event) -> None:
        """Takes one event in."""
        if event.kind == "run":
            self._to_come = list(event.nodes)
        elif event.kind == "started":
            self._node, self._since, self._share, self._first = event.node, self._clock(), 0.0, None
            self._to_come = [node for node in self._to_come if node != event.node]
        elif event.kind in ENDS:
            if event.kind == "done" and event.seconds is not None:
                self._took[event.node] = event.seconds
            self._node = ""
        elif event.progress is not None and event.node == self._node:
            share = _share(self._node, event.progress)
            if share is not None:
                self._share = share
                self._first = self._first or (share, self._clock())

    def seconds_left(self) -> float | None:
        """Seconds until the end of the run; None where nobody knows."""
        expected = [self._left_of_running(), *(self._expected(node) for node in self._to_come)]
        known = [seconds for seconds in expected if seconds is not None]
        return sum(known) if len(known) == len(expected) else None

    def _left_of_running(self) -> float | None:
        if not self._node:
            return 0.0
        now = self._clock()
        if self._first:  # what was done before it, by an earlier try, took none of this run's time
            share, since = self._first
            if self._share - share >= _LEAST_SHARE:
                return (now - since) * (1 - self._share) / (self._share - share)
        expected = self._expected(self._node)
        return None if expected is None else max(0.0, expected - (now - self._since))

    def _expected(self, node: str) -> float | None:
        if node in self._earlier:
            return self._earlier[node]
        if node == RETRAIN and REFERENCE in self._took | self._earlier and self._epochs.get(REFERENCE):
            trained = self._took.get(REFERENCE, self._earlier.get(REFERENCE, 0.0))
            return trained / self._epochs[REFERENCE] * self._epochs.get(RETRAIN, 0)
        short = [seconds for other, seconds in self._took.items() if other not in _LONG]
        return statistics.median(short) if short and node not in _LONG else None


def _share(node: str, progress: Progress) -> float | None:
    """How much of a node is done, by the unit that it ends with; None where this is of another."""
    if not progress.total or (node == SEARCH and progress.unit != "trial"):
        return None
    return min(1.0, progress.step / progress.total)
