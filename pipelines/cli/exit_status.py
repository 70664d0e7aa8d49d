"""How the command ``compressor`` ends: its exit statuses, and what it says then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from compressor_lib.errors import CompressorError
from pipelines.cli.output_capture import say

FAILED = 1
"""A run failed."""

WRONG_INPUT = 2
"""Nothing was started, because of what was given or what is missing."""

NOT_BLESSED = 3
"""A run ended well, but its model was not blessed; only if this was asked for."""

NOT_FOLLOWED = 4
"""A run was started elsewhere, and the platform stopped telling of it: its end is not known."""

STOPPED = 130
"""Stopped from the keyboard."""


def ended(status: int, message: str) -> typer.Exit:
    """Says why a command ends, and gives what is to be raised."""
    say(message, err=True)
    return typer.Exit(status)


@contextmanager
def wrong_input_told() -> Iterator[None]:
    """Ends the command with one message where the input is wrong."""
    try:
        yield
    except CompressorError as error:
        raise ended(WRONG_INPUT, f"error: {error}") from error
