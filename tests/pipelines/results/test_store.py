from __future__ import annotations

import subprocess
import sys

import pytest

from compressor_lib.errors import CompressorError
from pipelines.results.store import StoreLocked, open_store

LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_store_is_made_where_that_is_asked_for(tmp_path):
    path = str(tmp_path / "metadata.sqlite")
    with pytest.raises(CompressorError, match="unable to open database file"):
        open_store(path)
    open_store(path, create=True)
    assert open_store(path).get_artifacts() == []


@pytest.mark.slow
def test_a_store_that_is_in_use_is_not_called_damaged(tmp_path):
    path = str(tmp_path / "metadata.sqlite")
    open_store(path, create=True)
    command = [sys.executable, "-c", LOCK, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StoreLocked, match="close it, and run again"):
            open_store(path)
        other.communicate()
