from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from limits import TOLD, files_of_at_most

from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore


def blocks(rows: int = 7, size: int = 2):
    """Seven rows in blocks of two, the last one shorter."""
    whole = {"x": np.arange(rows * 6, dtype=np.float16).reshape(rows, 3, 2), "y": np.arange(rows)}
    return whole, (
        {name: array[start : start + size] for name, array in whole.items()} for start in range(0, rows, size)
    )


@pytest.mark.parametrize("limit", [None, 0, 30, 60, 10_000])
def test_blocks_are_concatenated_in_memory_and_on_disk(limit):
    whole, parts = blocks()
    joined = ArrayStore(limit).gather(parts)
    assert joined.keys() == whole.keys()
    for name, array in joined.items():
        np.testing.assert_array_equal(array, whole[name])
        assert array.dtype == whole[name].dtype


def in_memory(array: np.ndarray) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return False
        array = array.base
    return True


def test_memory_is_used_up_to_the_limit():
    store = ArrayStore(limit=7 * 12 + 7 * 8)
    first, second = store.gather(blocks()[1]), store.gather(blocks()[1])
    assert all(in_memory(array) for array in first.values())
    assert not any(in_memory(array) for array in second.values())


def test_no_blocks_give_no_arrays():
    assert ArrayStore().gather([]) == {}


def test_files_are_unnamed_and_outlive_the_store(tmp_path):
    store = ArrayStore(limit=0, directory=tmp_path)
    whole, parts = blocks()
    joined = store.gather(parts)
    assert not list(tmp_path.iterdir())
    del store
    np.testing.assert_array_equal(joined["x"], whole["x"])


@pytest.mark.survives("the process is killed while features are in files")
@pytest.mark.parametrize("moment", ["while they are written", "while they are read"])
def test_killed_process_leaves_no_files(tmp_path, moment):
    def and_then_killed(parts):
        yield from parts
        os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        try:
            _, parts = blocks(7000, 1000)
            written = ArrayStore(limit=0, directory=tmp_path).gather(
                and_then_killed(parts) if moment == "while they are written" else parts
            )
            list(and_then_killed(written["x"]))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not list(tmp_path.iterdir())


@pytest.mark.survives("the disk of the features is full")
@pytest.mark.parametrize("rows", [7, 7000], ids=["told when the file is complete", "told while it is written"])
def test_full_disk_is_reported(tmp_path, rows):
    store = ArrayStore(limit=0, directory=tmp_path)
    with files_of_at_most(20), pytest.raises(CompressorError, match=f"{TOLD}. Give them more memory.* TMPDIR"):
        store.gather(blocks(rows, rows)[1])
