"""Estimates the time left of a run from the times of earlier runs and of this one."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from compressor_lib.deployment.family import member_of
from compressor_lib.support.progress import Progress
from pipelines.execution.events import ENDS, Consumer, Event

SEARCH, REFERENCE, RETRAIN = "PruningSearch", "reference", "retrain"
_LONG = {SEARCH: "trial", REFERENCE: "epoch", RETRAIN: "epoch"}
"""The nodes that take long, with the outermost unit of their progress."""

_LEAST_SHARE = 0.05
"""Minimum share of a node that must be done to extrapolate from it."""

_MUCH = 2.0
"""An estimate is reported again if it grew or shrank by this factor since the last report."""

_KNOWN_LATER = "whole run: the time left is known after the first trials"


def in_words(seconds: float) -> str:
    """Formats an approximate duration: ``a minute``, ``25 minutes`` or ``3.5 hours``."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"{seconds / 3600:.1f} hours"


def earlier_seconds(events_file: Path) -> dict[str, float]:
    """Reads the time that each node took when it last completed, from an output folder's ``events.jsonl``.

    Args:
        events_file: The file that :class:`pipelines.execution.events.EventsFile` writes. It may be missing, or end with
            an incomplete line.

    Returns:
        Seconds by node. For a long node that was stopped and resumed, the sum of all its attempts.
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
            elif event["event"] in ("stopped", "failed") and member_of(node)[0] in _LONG:
                stopped[node] = seconds + stopped.get(node, 0.0)
        except (ValueError, KeyError, TypeError):
            continue
    return took


class RunEstimate:
    """Follows the events of a run, and estimates the time left.

    A node without an earlier time is expected to take the median time of this run's short nodes. An epoch of the
    retraining is expected to take as long as one of the reference model's training. A search cannot be estimated before
    its first trials.

    Args:
        earlier: Seconds by node, from :func:`earlier_seconds`.
        epochs: Maximum number of epochs of the reference model's training, and of the retraining in epochs of the
            reference model, by node.
        clock: Returns the time in seconds.

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
        """Takes in one event."""
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
        """Describes the time left; empty if it is unknown and will stay so."""
        left = self.seconds_left()
        if left is not None:
            return f"whole run: about {in_words(left)} left"
        return _KNOWN_LATER if SEARCH in (self._node, *self._to_come) else ""

    def seconds_left(self) -> float | None:
        """Seconds until the end of the run; None if unknown."""
        expected = [self._left_of_running(), *(self._expected(node) for node in self._to_come)]
        known = [seconds for seconds in expected if seconds is not None]
        return sum(known) if len(known) == len(expected) else None

    def _left_of_running(self) -> float | None:
        if not self._node:
            return 0.0
        now = self._clock()
        if self._first:  # work of an earlier attempt took none of this run's time
            share, since = self._first
            if self._share - share >= _LEAST_SHARE:
                return (now - since) * (1 - self._share) / (self._share - share)
        expected = self._expected(self._node)
        return None if expected is None else max(0.0, expected - (now - self._since))

    def _expected(self, node: str) -> float | None:
        if node in self._earlier:
            return self._earlier[node]
        if member_of(node)[0] == RETRAIN:
            return self._expected_of_retrain()
        short = [seconds for other, seconds in self._took.items() if member_of(other)[0] not in _LONG]
        return statistics.median(short) if short and member_of(node)[0] not in _LONG else None

    def _expected_of_retrain(self) -> float | None:
        """The planned epochs, each as long as one of the reference model's training, which may have stopped early."""
        epoch = self._reference_epoch
        trained = self._took.get(REFERENCE, self._earlier.get(REFERENCE))
        if epoch is None and trained is not None and self._epochs.get(REFERENCE):
            epoch = trained / self._epochs[REFERENCE]
        return None if epoch is None else epoch * self._epochs.get(RETRAIN, 0)


class EstimateEvents:
    """Passes on every event, followed by one of kind ``"estimate"`` if the time left is new or has changed a lot.

    No estimate is passed on before a node does work: a run whose nodes are all cached ends at once.

    Args:
        estimate: The estimate, which is updated with every event.
        consumers: Callables that are passed the events.
    """

    def __init__(self, estimate: RunEstimate, *consumers: Consumer) -> None:
        self._estimate, self._consumers = estimate, consumers
        self._reported = ""
        self._reported_seconds: float | None = None

    def __call__(self, event: Event) -> None:
        """Takes in one event."""
        self._estimate(event)
        self._emit(event)
        if event.kind in ("progress", "message", "done") and self._is_new(self._estimate.seconds_left()):
            self._reported, self._reported_seconds = self._estimate.words, self._estimate.seconds_left()
            seconds = None if self._reported_seconds is None else round(self._reported_seconds, 1)
            self._emit(Event("estimate", message=self._reported, seconds=seconds))

    def _is_new(self, left: float | None) -> bool:
        words = self._estimate.words
        if not words or words == self._reported or left == 0:
            return False
        if left is None or self._reported_seconds is None:
            return left is not None or not self._reported  # an estimate that becomes unknown again is not reported
        return not self._reported_seconds / _MUCH < left < self._reported_seconds * _MUCH

    def _emit(self, event: Event) -> None:
        for consumer in self._consumers:
            consumer(event)


def _share(node: str, progress: Progress) -> float | None:
    """The share of a node that is done, in its outermost unit; None if the progress is in another unit."""
    if not progress.total or _LONG.get(member_of(node)[0], progress.unit) != progress.unit:
        return None
    return min(1.0, progress.step / progress.total)
