"""Exit statuses of the command ``compressor``, and the one place that ends it with an error.

The module imports only the standard library, so that it works even if nothing else is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
"""A run failed."""

WRONG_INPUT = 2
"""Nothing was started, because the input is wrong or something is missing."""

NOT_BLESSED = 3
"""A run succeeded, but its model was not blessed. Used only with ``--fail-on-gate``."""

NOT_FOLLOWED = 4
"""A run was started on a platform that no longer responds, so its outcome is unknown."""

STOPPED = 130
"""Stopped from the keyboard."""


def ended(status: int, message: str) -> SystemExit:
    """Prints to the standard error why the command ends, and returns the exception to raise."""
    from pipelines.cli.output_capture import say

    say(message, err=True)
    return SystemExit(status)


@contextmanager
def wrong_input_reported() -> Iterator[None]:
    """Ends the command with one message if the input is wrong."""
    from compressor_lib.errors import CompressorError

    try:
        yield
    except CompressorError as error:
        raise ended(WRONG_INPUT, f"error: {error}") from error
