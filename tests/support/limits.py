"""Limits that make writing fail for real, as on a disk that is full."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = "File too large"
"""How the system says so."""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Lets this process write no file beyond so many bytes meanwhile."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, allowed[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
