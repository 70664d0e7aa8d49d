from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from compressor_lib.training.checkpoint import TrainingCheckpoint

# More than ten, so that an order by name would be another one; of each kind that Keras' variables have.
TRAINED = [
    *(np.full((2, number), number, np.float32) for number in range(12)),
    np.array(7, np.int64), np.array([1, 2**32 - 1], np.uint32), np.array([True, False]),
]  # fmt: skip
BEST = [np.full(3, -number, np.float32) for number in range(11)]
PLAIN = {
    "phase": "head",
    "epoch": 3,
    "best": [0.5, -0.25],
    "phase_best": [float("-inf")] * 2,
    "history": {"loss": [1.5]},
}


def written(path: Path) -> Path:
    TrainingCheckpoint(TRAINED, BEST, PLAIN).write(path)
    return path


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    pairs = list(zip(found, expected, strict=True))
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def test_state_round_trip(tmp_path):
    found = TrainingCheckpoint.read(written(tmp_path / "checkpoint.npz"))
    assert found is not None
    assert same(found.trained, TRAINED)
    assert same(found.best, BEST)
    assert found.plain == PLAIN


def test_state_without_a_best_epoch(tmp_path):
    TrainingCheckpoint(TRAINED, [], PLAIN).write(tmp_path / "checkpoint.npz")
    found = TrainingCheckpoint.read(tmp_path / "checkpoint.npz")
    assert found is not None
    assert (same(found.trained, TRAINED), list(found.best)) == (True, [])


def test_missing_file_gives_no_state_and_no_log(tmp_path, caplog):
    assert TrainingCheckpoint.read(tmp_path / "checkpoint.npz") is None
    assert not caplog.records


@pytest.mark.survives("the checkpoint of a training is damaged")
@pytest.mark.parametrize("harm", ["emptied", "cut", "one bit", "another file"])
def test_damaged_file_is_logged_and_ignored(tmp_path, caplog, harm):
    path = written(tmp_path / "checkpoint.npz")
    whole = path.read_bytes()
    middle = len(whole) // 2
    changed = bytes([whole[middle] ^ 1])
    path.write_bytes(
        {
            "emptied": b"", "cut": whole[:middle], "one bit": whole[:middle] + changed + whole[middle + 1 :],
            "another file": b"x" * len(whole),
        }[harm]
    )  # fmt: skip
    assert TrainingCheckpoint.read(path) is None
    assert f"{path} is damaged: training restarts from the beginning" in caplog.text


def test_old_state_stays_until_new_state_is_complete(tmp_path, monkeypatch):
    path = written(tmp_path / "checkpoint.npz")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        TrainingCheckpoint(TRAINED, BEST, {**PLAIN, "epoch": 4}).write(path)
    found = TrainingCheckpoint.read(path)
    assert found is not None
    assert found.plain["epoch"] == 3
    assert list(tmp_path.iterdir()) == [path]
