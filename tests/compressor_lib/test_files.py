import os

import pytest

from compressor_lib.files import replace_file


def test_a_file_is_written_and_replaced(tmp_path):
    replace_file(tmp_path / "file", "für")
    assert (tmp_path / "file").read_bytes() == "für".encode()
    replace_file(tmp_path / "file", b"\x00")
    assert (tmp_path / "file").read_bytes() == b"\x00"


def test_what_was_there_stays_until_the_new_content_is_whole(tmp_path, monkeypatch):
    replace_file(tmp_path / "file", b"old")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    replace_file(tmp_path / "file", b"old")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
