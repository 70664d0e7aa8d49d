"""The events of a run, for the consumers that show or record them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from compressor_lib.support.progress import Progress, progress_in
from compressor_lib.support.redaction import redact
from pipelines.execution.runners import NodeFailure, NodeListener, explain

ENDS = ("done", "cached", "skipped", "failed", "stopped")
"""The kinds of event that end a node."""

OWN_LOGGERS = ("compressor_lib", "components", "pipelines")
"""The loggers whose messages report the progress of a node."""


@dataclass(frozen=True)
class Event:
    """An event of a run.

    Attributes:
        kind: For the run: ``"run"`` (its nodes are known), ``"doing"`` (something outside of nodes), ``"said"`` (a
            message), ``"estimate"`` (of the time left) or ``"end"`` (with an empty message, or the reason for an early
            end). For a node: ``"started"``, ``"progress"``, ``"message"``, or its end: ``"done"``, ``"cached"``,
            ``"skipped"``, ``"failed"``, ``"stopped"``.
        node: The node's ID; empty outside of nodes.
        message: A message, such as a node's result, without credentials.
        seconds: At a node's end, its duration; for an estimate, the time left, if it is known.
        progress: The progress of the node.
        nodes: For ``"run"``, the IDs of all nodes.
        time: The time of the event.
    """

    kind: str
    node: str = ""
    message: str = ""
    seconds: float | None = None
    progress: Progress | None = None
    nodes: Sequence[str] = ()
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", redact(self.message))

    @property
    def is_tick(self) -> bool:
        """Whether the event only reports that work continues."""
        return self.progress is not None and not self.progress.detail

    def as_json(self) -> str:
        """Formats the event as one line, with its kind as ``event``, its progress flattened and no empty fields."""
        fields: dict[str, Any] = {"time": self.time.isoformat(timespec="milliseconds"), "event": self.kind}
        fields |= {"node": self.node, "nodes": list(self.nodes), "message": self.message, "seconds": self.seconds}
        fields |= asdict(self.progress) if self.progress else {}
        return json.dumps({name: value for name, value in fields.items() if value not in ("", None, [])})


Consumer = Callable[[Event], None]


class Events(NodeListener):
    """Turns the notifications of a runner and the messages of the project's loggers into events.

    Use it as a context manager.

    Attributes:
        worked: Whether any node did work instead of taking its result from the cache.

    Args:
        consumers: Callables that are passed each event.
        ticks: Whether they are also passed ticks.
    """

    def __init__(self, *consumers: Consumer, ticks: bool = False) -> None:
        self.worked = False
        self._consumers = consumers
        self._node, self._result = "", ""
        self._since = 0.0
        self._handler = _Handler(self._logged, logging.DEBUG if ticks else logging.INFO)
        self._open = ExitStack()

    def __enter__(self) -> Events:
        for name in OWN_LOGGERS:
            self._open.enter_context(_heard(logging.getLogger(name), self._handler))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._open.close()
        self._emit(Event("end", message="" if error is None else _why(error)))

    def begin(self, nodes: Sequence[str]) -> None:
        """Reports the nodes of the run, in order."""
        self._emit(Event("run", nodes=tuple(nodes)))

    def doing(self, what: str) -> None:
        """Reports current work outside of any node."""
        self._emit(Event("doing", message=what))

    def say(self, words: str) -> None:
        """Reports a message that deserves a line of its own."""
        self._emit(Event("said", message=words))

    def started(self, node: str) -> None:
        """Reports that a node has started."""
        self._node, self._result, self._since = node, "", time.monotonic()
        self._emit(Event("started", node))

    def made(self, node: str, result: str) -> None:
        """Keeps the node's result for the event at its end."""
        self._result = result

    def finished(self, node: str, outcome: str) -> None:
        """Reports that a node succeeded, with its result."""
        self.worked = self.worked or outcome == "done"
        self._end(node, outcome, self._result)

    def failed(self, node: str, reason: str) -> None:
        """Reports that a node failed."""
        self._end(node, "failed", reason)

    def stopped(self) -> None:
        """Reports that the run was stopped."""
        self._end(self._node, "stopped")

    def _end(self, node: str, outcome: str, message: str = "") -> None:
        self._emit(Event(outcome, node, message, seconds=round(time.monotonic() - self._since, 3)))
        self._node = ""

    def _logged(self, record: logging.LogRecord) -> None:
        progress = progress_in(record)
        message = next(iter(record.getMessage().strip().splitlines()), "")
        if message and (progress or record.levelno >= logging.INFO):
            self._emit(Event("progress" if progress else "message", self._node, message, progress=progress))

    def _emit(self, event: Event) -> None:
        for consumer in self._consumers:
            consumer(event)


class EventsFile:
    """Appends every event except ticks to a file, as one JSON object per line.

    Args:
        path: The file, whose folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        """Writes one event. Errors, such as a full disk, are left for the code that depends on its files to report."""
        if not event.is_tick:
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(event.as_json() + "\n")


def _why(error: BaseException) -> str:
    if isinstance(error, NodeFailure):
        return str(error)
    return explain(error) if isinstance(error, Exception) else "stopped"


class _Handler(logging.Handler):
    def __init__(self, consumer: Callable[[logging.LogRecord], None], level: int) -> None:
        super().__init__(level)
        self._consumer = consumer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._consumer(record)
        except Exception:
            self.handleError(record)


@contextmanager
def _heard(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Sends the messages of a logger to a handler, down to the handler's level."""
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
