"""Keeps the screen for people, with all other output in a log file."""

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
"""Columns; what stands further to the right is not a label in front of a sentence."""


def say(message: str, style: str = "", *, err: bool = False) -> None:
    """Prints sentences: on a terminal wrapped between words, elsewhere a line as a line; without credentials.

    Args:
        message: One or more lines. The lines that one of them is wrapped into are indented more than it, or as far as
            the sentence behind its label, as in ``weights      random``.
        style: As rich knows it.
        err: Whether to the standard error.
    """
    message = redact(message)
    console = Console(stderr=err, highlight=False)
    if console.file.isatty():
        wrapped = "\n".join(_wrapped(line, console.width) for line in message.splitlines())
        console.print(Text(wrapped, style), soft_wrap=True)
    else:
        typer.echo(message, err=err)


def _wrapped(line: str, width: int) -> str:
    """The line on as many lines as it takes; a path, an option or ``90 %`` is never torn."""
    label = re.match(r"\s*\S+(?: \S+)*  +(?=\S)", line)
    indent = label.end() if label and label.end() <= _WIDEST_LABEL else len(line) - len(line.lstrip()) + 2
    kept = re.sub(r"(?<=\d) (?=%)", "\u00a0", line)
    wrapped = textwrap.fill(
        kept, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip
    return wrapped.replace("\u00a0", " ")


def people_console() -> Console:
    """The standard output for people: as wide as the terminal, and in a file or a pipe as wide as it takes."""
    console = Console(highlight=False)
    return console if console.file.isatty() else Console(highlight=False, width=_UNBOUNDED)


@contextlib.contextmanager
def captured(log_file: Path, *, verbose: bool = False) -> Iterator[Console]:
    """Sends everything that is written and logged to a file, and yields a console for people.

    Python's streams, the file descriptors 1 and 2 (TensorFlow and Beam write from C++) and Python's
    loggers, absl's included, go to the file. Everything is put back at the end. An exception's
    traceback is written to the file as it passes. Credentials are taken out of what goes through Python
    (:mod:`compressor_lib.support.redaction`), not of what C++ writes to the descriptors.

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
        redacted: Any = RedactedStream(log)
        with contextlib.redirect_stdout(redacted), contextlib.redirect_stderr(redacted):
            yield
    finally:
        # What libraries left in the streams they kept belongs to the file.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # its disk may be full; the screen must come back
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
    form = RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    root.handlers[:] = []
    for stream in streams:
        handler = logging.StreamHandler(stream)
        handler.setLevel(logging.INFO)  # ticks are for who watches
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
