"""Limits that make writing really fail, as on a full disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = "File too large"
"""The system's message for this error."""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limits the size of files that this process can write, in bytes."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, allowed[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
