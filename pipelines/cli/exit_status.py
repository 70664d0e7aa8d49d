"""How the command ``compressor`` ends: its exit statuses, and the one way out where something is wrong.

Only the standard library is imported at once, so that the statuses are known where nothing else is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
"""A run failed."""

WRONG_INPUT = 2
"""Nothing was started, because of what was given or what is missing."""

NOT_BLESSED = 3
"""A run ended well, but its model was not blessed; only if this was asked for."""

NOT_FOLLOWED = 4
"""A run was started elsewhere, and the platform does not answer any more: its end is not known."""

STOPPED = 130
"""Stopped from the keyboard."""


def ended(status: int, message: str) -> SystemExit:
    """Says on the standard error why the command ends, and returns what is to be raised."""
    from pipelines.cli.output_capture import say

    say(message, err=True)
    return SystemExit(status)


@contextmanager
def wrong_input_told() -> Iterator[None]:
    """Ends the command with one message where the input is wrong."""
    from compressor_lib.errors import CompressorError

    try:
        yield
    except CompressorError as error:
        raise ended(WRONG_INPUT, f"error: {error}") from error
