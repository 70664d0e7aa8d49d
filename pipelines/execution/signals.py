"""Ctrl-C and SIGTERM, which Kubernetes sends to what it evicts: a run ends in order, and soon.

Nothing depends on a run's ending in order, for what is finished is on the disk by then. So one that cannot, because a
library does not let go, is ended without.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 6.0
"""Seconds that a run may take to end in order."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Makes a KeyboardInterrupt of both signals.

    Yields:
        The signals that came so far: Beam makes a RuntimeError of an interrupt that comes inside a DoFn.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals reach the main thread alone
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    handlers = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield seen
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Keeps both signals back until the block is left.

    For starting a process: one that comes between the process' start and the moment at which its starter knows of it
    would leave it running.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)


@contextmanager
def ended_in_time(end: Callable[[], None], patience: float = PATIENCE) -> Iterator[None]:
    """Makes KeyboardInterrupts likewise, and calls ``end`` where one does not leave the block in time.

    Python's handlers wait for the main thread, which may be busy in a library; a thread is told at once.

    Args:
        end: Ends the process.
        patience: Seconds until it is called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def watch() -> None:
        while (number := os.read(told, 1)) and number[0] not in SIGNALS:
            pass
        if number and not left.wait(patience):
            end()

    told, tell = os.pipe()
    os.set_blocking(tell, False)
    left = threading.Event()
    watcher = threading.Thread(target=watch, name="ended in time", daemon=True)
    with interrupts():
        descriptor = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        watcher.start()
        try:
            yield
        finally:
            left.set()
            signal.set_wakeup_fd(descriptor)
            os.close(tell)
            watcher.join()
            os.close(told)


def end_at_last(status: int, after: float) -> None:
    """Ends the process in some seconds, even if threads of libraries go on."""
    timer = threading.Timer(after, os._exit, [status])
    timer.daemon = True
    timer.start()
