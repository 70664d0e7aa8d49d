"""Advice about failures."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from compressor_lib.errors import CompressorError

_AGAIN = "then re-run the command to resume"

_BY_ERRNO = {
    errno.ENOSPC: "free some disk space, or choose another folder with --output",
    errno.EDQUOT: "free some of the quota, or choose another folder with --output",
    errno.EACCES: "grant read and write permission there",
    errno.EROFS: "choose a writable folder with --output",
    errno.EMFILE: "allow more open files (ulimit -n)",
}
_BY_WORDS = {
    "out of memory": "use a machine with more memory, or lower batch_size and search.parallel_trials",
    "oom when": "use a machine with more memory, or lower batch_size and search.parallel_trials",
    "no space left": _BY_ERRNO[errno.ENOSPC],
    "disk is full": _BY_ERRNO[errno.ENOSPC],
    "quota exceeded": _BY_ERRNO[errno.EDQUOT],
    "read-only file system": _BY_ERRNO[errno.EROFS],
    "readonly database": _BY_ERRNO[errno.EROFS],
    "database is locked": "wait until no other run uses this output folder, or choose another with --output",
    "name resolution": "check the network, or use a local file instead of a download",
    "urlopen error": "check the network, or use a local file instead of a download",
}


def advice(error: BaseException) -> str:
    """Returns advice about the error that ended a run.

    Args:
        error: Any exception. Its causes are considered too.

    Returns:
        A sentence without its full stop.
    """
    causes = list(_causes(error))
    if any(isinstance(cause, CompressorError) or "CompressorError: " in str(cause) for cause in causes):
        return f"correct this, {_AGAIN}"
    return f"{_remedy(causes)}, {_AGAIN}"


def _remedy(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _BY_ERRNO:
            return _BY_ERRNO[cause.errno]
        if isinstance(cause, MemoryError):
            return _BY_WORDS["out of memory"]
        if isinstance(cause, ModuleNotFoundError):
            return f"install the package that provides {cause.name}"
        for words, remedy in _BY_WORDS.items():
            if words in str(cause).lower():
                return remedy
    return "find the first error in the log"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
