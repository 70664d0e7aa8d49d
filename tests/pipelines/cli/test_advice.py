from __future__ import annotations

import errno

import pytest

from compressor_lib.errors import CompressorError
from pipelines.cli.advice import advice


def wrapped(cause: BaseException) -> RuntimeError:
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = cause
    return wrapper


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (CompressorError("bad: fix it"), "correct this"),
        (RuntimeError("Traceback\ncompressor_lib.errors.CompressorError: bad"), "correct this"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some"),
        (RuntimeError("database or disk is full"), "free some"),
        (RuntimeError("attempt to write a readonly database"), "choose a writable folder"),
        (RuntimeError("RESOURCE_EXHAUSTED: OOM when allocating"), "use a machine with more memory"),
        (MemoryError(), "use a machine with more memory"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "install the package that provides x"),
        (KeyError("missing"), "find the first error in the log"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda error: error, wrapped])
def test_what_to_do_follows_from_the_cause(error, begins, wrap):
    told = advice(wrap(error))
    assert told.startswith(begins)
    assert told.endswith("then re-run the command to resume")
