"""How long the rest of a run takes: from what its nodes took the last time, and from what they take now."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from compressor_lib.support.progress import Progress
from pipelines.execution.events import ENDS, Consumer, Event

SEARCH, REFERENCE, RETRAIN = "PruningSearch", "reference", "retrain"
_LONG = (SEARCH, REFERENCE, RETRAIN)
_LEAST_SHARE = 0.05
"""Less of a node says too little of the rest of it."""

_MUCH = 2.0
"""An estimate is told anew where it is this many times the last one, or fewer times than one in this many."""

_KNOWN_LATER = "whole run: the time left is known after the first trials"


def in_words(seconds: float) -> str:
    """A duration that is not known to the second: ``a minute``, ``25 minutes`` or ``3.5 hours``."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"{seconds / 3600:.1f} hours"


def earlier_seconds(events_file: Path) -> dict[str, float]:
    """Reads what each node took when it last ran to its end, from an output folder's ``events.jsonl``.

    Args:
        events_file: As :class:`pipelines.execution.events.EventsFile` writes it; it may be missing, or end in half a
            line.

    Returns:
        Seconds by node; of a long one that was stopped and resumed, of all its tries together.
    """
    took: dict[str, float] = {}
    stopped: dict[str, float] = {}
    try:
        lines = events_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return took
    for line in lines:
        try:
            event = json.loads(line)
            node, seconds = event["node"], float(event["seconds"])
            if event["event"] == "done":
                took[node] = seconds + stopped.pop(node, 0.0)
            elif event["event"] in ("stopped", "failed") and node in _LONG:
                stopped[node] = seconds + stopped.get(node, 0.0)
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
        self._reference_epoch: float | None = None

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
                if self._node == REFERENCE and event.progress.total and share > self._first[0]:
                    epochs = (share - self._first[0]) * event.progress.total
                    self._reference_epoch = (self._clock() - self._first[1]) / epochs

    @property
    def words(self) -> str:
        """How long the rest takes, for people; empty where nothing is known, nor when it will be."""
        left = self.seconds_left()
        if left is not None:
            return f"whole run: about {in_words(left)} left"
        return _KNOWN_LATER if SEARCH in (self._node, *self._to_come) else ""

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
        if node == RETRAIN:
            return self._expected_of_retrain()
        short = [seconds for other, seconds in self._took.items() if other not in _LONG]
        return statistics.median(short) if short and node not in _LONG else None

    def _expected_of_retrain(self) -> float | None:
        """As many epochs as are planned, each as long as one of the reference, which may have ended before its last."""
        epoch = self._reference_epoch
        trained = self._took.get(REFERENCE, self._earlier.get(REFERENCE))
        if epoch is None and trained is not None and self._epochs.get(REFERENCE):
            epoch = trained / self._epochs[REFERENCE]
        return None if epoch is None else epoch * self._epochs.get(RETRAIN, 0)


class EstimateEvents:
    """Hands every event on, and behind it one of kind ``"estimate"`` where the time left is new or has changed much.

    Nothing is told before a node works: a run whose nodes all come from the cache ends at once.

    Args:
        estimate: Is shown every event, too.
        consumers: Who is told.
    """

    def __init__(self, estimate: RunEstimate, *consumers: Consumer) -> None:
        self._estimate, self._consumers = estimate, consumers
        self._told = ""
        self._told_seconds: float | None = None

    def __call__(self, event: Event) -> None:
        """Takes one event in."""
        self._estimate(event)
        self._tell(event)
        if event.kind in ("progress", "message", "done") and self._is_new(self._estimate.seconds_left()):
            self._told, self._told_seconds = self._estimate.words, self._estimate.seconds_left()
            seconds = None if self._told_seconds is None else round(self._told_seconds, 1)
            self._tell(Event("estimate", message=self._told, seconds=seconds))

    def _is_new(self, left: float | None) -> bool:
        words = self._estimate.words
        if not words or words == self._told or left == 0:
            return False
        if left is None or self._told_seconds is None:
            return left is not None or not self._told  # an estimate that is unknown again is not worth a line
        return not self._told_seconds / _MUCH < left < self._told_seconds * _MUCH

    def _tell(self, event: Event) -> None:
        for consumer in self._consumers:
            consumer(event)


def _share(node: str, progress: Progress) -> float | None:
    """How much of a node is done, by the unit that it ends with; None where this is of another."""
    if not progress.total or (node == SEARCH and progress.unit != "trial"):
        return None
    return min(1.0, progress.step / progress.total)
