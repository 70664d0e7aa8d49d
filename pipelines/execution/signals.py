"""Handles Ctrl-C and SIGTERM (which Kubernetes sends to evicted pods), so that a run ends cleanly and soon.

Nothing depends on a clean end, because finished work is already on the disk. A run that cannot end cleanly because a
library blocks is therefore killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 6.0
"""Seconds that a run may take to end cleanly."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Turns both signals into KeyboardInterrupts.

    Yields:
        The signals received so far, because Beam turns an interrupt inside a DoFn into a RuntimeError.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread receives signals
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
    """Defers both signals until the end of the block.

    Used to start a process: a signal between the start and the moment when the caller holds the process object would
    leave the process running.
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
    """Turns both signals into KeyboardInterrupts, and calls ``end`` if one does not leave the block in time.

    Python's handlers wait for the main thread, which may be busy in a library. A second thread is notified at once.

    Args:
        end: Ends the process.
        patience: Seconds to wait before it is called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def watch() -> None:
        while (number := os.read(reader, 1)) and number[0] not in SIGNALS:
            pass
        if number and not left.wait(patience):
            end()

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    left = threading.Event()
    watcher = threading.Thread(target=watch, name="ended in time", daemon=True)
    with interrupts():
        descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        watcher.start()
        try:
            yield
        finally:
            left.set()
            signal.set_wakeup_fd(descriptor)
            os.close(writer)
            watcher.join()
            os.close(reader)


def end_at_last(status: int, after: float) -> None:
    """Ends the process after some seconds, even if threads of libraries are still running."""
    timer = threading.Timer(after, os._exit, [status])
    timer.daemon = True
    timer.start()
