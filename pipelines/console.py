"""Keeps the screen for people, with all other output in a log file."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from compressor_lib.redaction import RedactedStream, RedactingFormatter

_UNBOUNDED = 10_000


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
    (:mod:`compressor_lib.redaction`), not of what C++ writes to the descriptors.

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
