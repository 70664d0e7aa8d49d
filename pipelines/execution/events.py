"""What happens in a run, one event after the other, for whoever shows or records it."""

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
"""The loggers whose messages tell how far a node is."""


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: Of the run: ``"run"`` (its nodes are known), ``"doing"`` (something outside of nodes), ``"said"``,
            ``"estimate"`` (of the time left) or ``"end"`` (its message is empty, or tells why it ended early). Of a
            node: ``"started"``, ``"progress"``, ``"message"``, or its end: ``"done"``, ``"cached"``, ``"skipped"``,
            ``"failed"``, ``"stopped"``.
        node: Its id; empty outside of nodes.
        message: In words, such as what a node has made, without the credentials in them.
        seconds: How long the node took, at its end; of an estimate, how long the run still takes, if that is known.
        progress: How far it is.
        nodes: Of a run, all of them.
        time: When.
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
        """Whether it tells no more than that work goes on."""
        return self.progress is not None and not self.progress.detail

    def as_json(self) -> str:
        """The event on one line: its kind as ``event``, its progress flattened, and nothing that is empty."""
        told: dict[str, Any] = {"time": self.time.isoformat(timespec="milliseconds"), "event": self.kind}
        told |= {"node": self.node, "nodes": list(self.nodes), "message": self.message, "seconds": self.seconds}
        told |= asdict(self.progress) if self.progress else {}
        return json.dumps({name: value for name, value in told.items() if value not in ("", None, [])})


Consumer = Callable[[Event], None]


class Events(NodeListener):
    """Turns what a runner tells, and what the project's own loggers say meanwhile, into events.

    Use it as a context manager.

    Attributes:
        worked: Whether a node did something, rather than take it from the cache.

    Args:
        consumers: Who is told of each event.
        ticks: Whether of each tick, too.
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
        self._tell(Event("end", message="" if error is None else _why(error)))

    def begin(self, nodes: Sequence[str]) -> None:
        """Tells which nodes there are, in their order."""
        self._tell(Event("run", nodes=tuple(nodes)))

    def doing(self, what: str) -> None:
        """Tells what is done now, outside of any node."""
        self._tell(Event("doing", message=what))

    def say(self, words: str) -> None:
        """Tells what is worth a line of its own."""
        self._tell(Event("said", message=words))

    def started(self, node: str) -> None:
        """Tells that a node is at work."""
        self._node, self._result, self._since = node, "", time.monotonic()
        self._tell(Event("started", node))

    def made(self, node: str, result: str) -> None:
        """Keeps what it has made, for its end."""
        self._result = result

    def finished(self, node: str, outcome: str) -> None:
        """Tells that it ended well, and what it has made."""
        self.worked = self.worked or outcome == "done"
        self._end(node, outcome, self._result)

    def failed(self, node: str, reason: str) -> None:
        """Tells that it failed."""
        self._end(node, "failed", reason)

    def stopped(self) -> None:
        """Tells that the run was stopped."""
        self._end(self._node, "stopped")

    def _end(self, node: str, outcome: str, message: str = "") -> None:
        self._tell(Event(outcome, node, message, seconds=round(time.monotonic() - self._since, 3)))
        self._node = ""

    def _logged(self, record: logging.LogRecord) -> None:
        progress = progress_in(record)
        message = next(iter(record.getMessage().strip().splitlines()), "")
        if message and (progress or record.levelno >= logging.INFO):
            self._tell(Event("progress" if progress else "message", self._node, message, progress=progress))

    def _tell(self, event: Event) -> None:
        for consumer in self._consumers:
            consumer(event)


class EventsFile:
    """Appends every event but ticks to a file, a JSON object on each line.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        """Writes one event, if it can: that a disk is full or a folder gone is told by what needs it."""
        if not event.is_tick:
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(event.as_json() + "\n")


def _why(error: BaseException) -> str:
    if isinstance(error, NodeFailure):
        return str(error)
    return explain(error) if isinstance(error, Exception) else "stopped"


class _Handler(logging.Handler):
    def __init__(self, told: Callable[[logging.LogRecord], None], level: int) -> None:
        super().__init__(level)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._told(record)
        except Exception:
            self.handleError(record)


@contextmanager
def _heard(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Lets a logger, down to the handler's level, reach it."""
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
