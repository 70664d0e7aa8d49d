"""Keeps the screen free for the user and sends all other output to a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.text import Text

from compressor_lib.support.redaction import RedactedStream, RedactingFormatter, redact

_UNBOUNDED = 10_000

_WIDEST_LABEL = 24
"""Columns. Text that starts further to the right is not taken for a label before a sentence."""


def say(message: str, style: str = "", *, err: bool = False) -> None:
    """Prints lines without credentials; on a terminal, they are wrapped between words.

    Args:
        message: One or more lines. Wrapped lines are indented; after a label, as in ``weights      random``, they are
            aligned with the text.
        style: A style of rich.
        err: Whether to print to the standard error.
    """
    message = redact(message)
    console = Console(stderr=err, highlight=False)
    if console.file.isatty():
        wrapped = "\n".join(_wrapped(line, console.width) for line in message.splitlines())
        console.print(Text(wrapped, style), soft_wrap=True)
    else:
        typer.echo(message, err=err)


def _wrapped(line: str, width: int) -> str:
    """Wraps a line without breaking a path, an option or ``90 %``."""
    label = re.match(r"\s*\S+(?: \S+)*  +(?=\S)", line)
    indent = label.end() if label and label.end() <= _WIDEST_LABEL else len(line) - len(line.lstrip()) + 2
    kept = re.sub(r"(?<=\d) (?=%)", "\u00a0", line)
    wrapped = textwrap.fill(
        kept, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip
    return wrapped.replace("\u00a0", " ")


def people_console() -> Console:
    """A console on the standard output: as wide as the terminal, and of unlimited width in a file or pipe."""
    console = Console(highlight=False)
    return console if console.file.isatty() else Console(highlight=False, width=_UNBOUNDED)


@contextlib.contextmanager
def captured(log_file: Path, *, verbose: bool = False) -> Iterator[Console]:
    """Redirects all output and logs to a file, and yields a console for the user.

    This redirects Python's streams, the file descriptors 1 and 2 (TensorFlow and Beam write from C++) and Python's
    loggers, including absl's. Everything is restored at the end. The traceback of an exception is written to the file.
    Credentials are removed from the output of Python (:mod:`compressor_lib.support.redaction`), but not from what C++
    writes to the descriptors.

    Args:
        log_file: The file, whose folder must exist.
        verbose: Whether to leave the streams on the screen and show the logs there too.

    Yields:
        A console on the original standard output.
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
    """A copy of the standard output that survives the redirection of its file descriptor."""
    try:
        descriptor = os.dup(sys.stdout.fileno())
    except OSError:  # no descriptor: the stream of a notebook or a test
        yield sys.stdout
        return
    with os.fdopen(descriptor, "w", encoding=sys.stdout.encoding, errors="replace") as screen:
        yield screen


@contextlib.contextmanager
def _redirected(log: TextIO) -> Iterator[None]:
    """Redirects file descriptors 1 and 2, and Python's streams, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {number: os.dup(number) for number in (1, 2)}
    for number in saved:
        os.dup2(log.fileno(), number)
    try:
        redacted: Any = RedactedStream(log)
        with contextlib.redirect_stdout(redacted), contextlib.redirect_stderr(redacted):
            yield
    finally:
        # Libraries may have kept these streams; what they buffered belongs in the file.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # the disk may be full; the screen must be restored
                stream.flush()
        for number, descriptor in saved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextlib.contextmanager
def _logged(*streams: TextIO) -> Iterator[None]:
    """Makes Python's loggers, including absl's, write only to these streams."""
    from absl import logging as absl_logging

    root = logging.getLogger()
    handlers, level, verbosity = root.handlers[:], root.level, absl_logging.get_verbosity()
    form = RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    root.handlers[:] = []
    for stream in streams:
        handler = logging.StreamHandler(stream)
        handler.setLevel(logging.INFO)  # ticks are only for live views
        handler.setFormatter(form)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)  # TFX logs through absl, which is silent by default
    try:
        yield
    finally:
        absl_logging.set_verbosity(verbosity)
        root.handlers[:] = handlers
        root.setLevel(level)
