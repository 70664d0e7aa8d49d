from __future__ import annotations

import sys

import pytest

from compressor_lib.errors import CompressorError
from pipelines.platforms.schedulers import output_of


def test_the_output_is_returned():
    program = "import sys, os; print(sys.stdin.read().upper() + os.environ['LC_ALL'])"
    assert output_of(sys.executable, "-c", program, given="a ") == "A C\n"


def test_a_failure_is_named_with_what_the_program_says():
    with pytest.raises(CompressorError, match="failed: you may not"):
        output_of(sys.executable, "-c", "raise SystemExit('you may not')")
    with pytest.raises(CompressorError, match="failed: status 3"):
        output_of(sys.executable, "-c", "raise SystemExit(3)")


def test_a_missing_program_is_named():
    with pytest.raises(CompressorError, match="^no-such-program cannot be run: No such file"):
        output_of("no-such-program")
