import os
import random

import numpy as np
import pytest

from compressor_lib.support.atomic_write import read_arrays, replace_file, write_arrays


def test_a_file_is_written_and_replaced(tmp_path):
    replace_file(tmp_path / "file", "für")
    assert (tmp_path / "file").read_bytes() == "für".encode()
    replace_file(tmp_path / "file", b"\x00")
    assert (tmp_path / "file").read_bytes() == b"\x00"


def test_old_content_stays_until_new_content_is_complete(tmp_path, monkeypatch):
    replace_file(tmp_path / "file", b"old")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_full_disk_keeps_old_content(tmp_path, monkeypatch):
    replace_file(tmp_path / "file", b"old")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.survives("a trial's checkpoint is broken")
def test_every_change_to_a_checkpoint_is_detected(tmp_path):
    path, dice = tmp_path / "trained.npz", random.Random(0)
    write_arrays({"classifier/0": np.ones((3, 2), np.float32)}, path)
    whole = path.read_bytes()
    arrays = read_arrays(path)
    assert arrays is not None
    np.testing.assert_array_equal(arrays["classifier/0"], 1)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << dice.randrange(8)
        for damaged in (bytes(changed), whole[:place]):
            path.write_bytes(damaged)
            assert read_arrays(path) is None


def test_old_arrays_stay_complete_while_new_ones_are_written(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    write_arrays({"a": np.zeros(3)}, path)
    replaced = os.replace

    for call in ("fsync", "replace"):
        with monkeypatch.context() as killing:

            def killed(*args):
                raise KeyboardInterrupt

            killing.setattr(os, call, killed)
            killing.setattr("pathlib.Path.replace", killed if call == "replace" else replaced)
            with pytest.raises(KeyboardInterrupt):
                write_arrays({"a": np.ones(3)}, path)
        kept = read_arrays(path)
        assert kept is not None
        np.testing.assert_array_equal(kept["a"], 0)
    with np.load(path) as arrays:  # it is an ordinary file of NumPy's, too
        np.testing.assert_array_equal(arrays["a"], 0)
