"""Keeps the screen for people: node by node, with all other output in a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from pipelines.runners import NodeListener

OWN_LOGGERS = ("compressor_lib", "components", "pipelines")
"""The loggers whose messages tell how far a node is."""


@contextlib.contextmanager
def captured(log_file: Path, *, verbose: bool = False) -> Iterator[Console]:
    """Sends everything that is written and logged to a file, and yields a console for people.

    Python's streams, the file descriptors 1 and 2 (TensorFlow and Beam write from C++) and Python's
    loggers, absl's included, go to the file. Everything is put back at the end. An exception's
    traceback is written to the file as it passes.

    Args:
        log_file: Where to; its folder must exist.
        verbose: Leaves the streams on the screen and shows the logs there too.

    Yields:
        A console on what was the standard output.
    """
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(log_file, "a", encoding="utf-8", buffering=1))
        if verbose:
            screen: TextIO = sys.stdout
            stack.enter_context(_logged(log, sys.stderr))
        else:
            screen = stack.enter_context(_screen())
            stack.enter_context(_redirected(log))
            stack.enter_context(_logged(log))
        try:
            yield Console(file=screen, highlight=False)
        except Exception:
            logging.getLogger(__name__).exception("the run ended early")
            raise


@contextlib.contextmanager
def _screen() -> Iterator[TextIO]:
    """The standard output, staying where it is when its file descriptor is sent elsewhere."""
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except OSError:  # no descriptor: a notebook's or a test's stream
        yield sys.stdout
        return
    with os.fdopen(descriptor, "w", encoding=sys.stdout.encoding, errors="replace") as screen:
        yield screen


@contextlib.contextmanager
def _redirected(log: TextIO) -> Iterator[None]:
    """Sends file descriptors 1 and 2, and Python's streams, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {number: os.dup(number) for number in (1, 2)}
    for number in saved:
        os.dup2(log.fileno(), number)
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        # What libraries left in the streams they kept belongs to the file.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, descriptor in saved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextlib.contextmanager
def _logged(*streams: TextIO) -> Iterator[None]:
    """Makes Python's loggers, absl's included, write to these streams alone."""
    from absl import logging as absl_logging

    root = logging.getLogger()
    handlers, level, verbosity = root.handlers[:], root.level, absl_logging.get_verbosity()
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    root.handlers[:] = []
    for stream in streams:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(form)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)  # TFX logs through absl, silent by default
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)
        root.handlers[:] = handlers
        root.setLevel(level)


class Display(NodeListener):
    """Shows which node works and how far it is, and a line for each finished one.

    On a terminal the node at work is one live line; elsewhere plain lines are written. Use it as a
    context manager: meanwhile the messages of the project's own loggers are shown as the progress
    of the node at work.

    Attributes:
        total: Number of nodes, shown where it is known.
        worked: Whether a node did something, rather than take it from the cache.

    Args:
        console: Where to.
        live: False for plain lines on a terminal too, where other output would tear a live line.
    """

    def __init__(self, console: Console, *, live: bool = True):
        self.total: int | None = None
        self.worked = False
        self._console = console
        self._is_live = live and console.is_terminal
        self._count = 0
        self._doing = ""
        self._step = ""
        self._since = time.monotonic()
        self._spinner = Spinner("dots")
        self._handler = _ProgressHandler(self)
        self._live = Live(
            self,
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Display:
        for name in OWN_LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        for name in OWN_LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)

    def begin(self, doing: str) -> None:
        """Shows what is done now, outside of any node."""
        self._doing, self._step, self._since = doing, "", time.monotonic()
        if not self._is_live:
            self._console.print(Text(f"{doing} ..."))

    def progress(self, step: str) -> None:
        """Shows how far it is."""
        self._step = step
        if not self._is_live:
            self._console.print(Text(f"    {step}"), soft_wrap=True)

    def started(self, node: str) -> None:
        """Shows the node at work."""
        self._count += 1
        self.begin(f"{self._number()} {node}")

    def finished(self, node: str, outcome: str) -> None:
        """Writes the node's line: its seconds, or that it was cached."""
        seconds = time.monotonic() - self._since
        self.worked = self.worked or outcome == "done"
        spent = f"{seconds:7.1f} s" if outcome == "done" else outcome
        line = Text(f"{self._number()} {node:<28} {spent}")
        line.stylize("green" if outcome == "done" else "dim")
        self._doing = self._step = ""
        self._console.print(line)

    def say(self, words: str) -> None:
        """Writes a line that stays."""
        self._console.print(Text(words), soft_wrap=True)

    def __rich__(self) -> Spinner | Text:
        """The live line."""
        if not self._doing:
            return Text()
        seconds = time.monotonic() - self._since
        text = Text(f"{self._doing}  {seconds:.0f} s  {self._step}", no_wrap=True)
        text.overflow = "ellipsis"
        self._spinner.update(text=text)
        return self._spinner

    def _number(self) -> str:
        return f"[{self._count}/{self.total}]" if self.total else f"[{self._count}]"


class _ProgressHandler(logging.Handler):
    """Hands the first line of each message to a display."""

    def __init__(self, display: Display):
        super().__init__(logging.INFO)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage().strip()
        if message:
            self._display.progress(message.splitlines()[0])
