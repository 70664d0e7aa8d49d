from __future__ import annotations

import pytest

from compressor_lib.deployment.classes_file import CLASSES_FILE, format_classes, parse_classes, read_classes_file
from compressor_lib.errors import CompressorError


def test_names_are_read_as_they_were_written(tmp_path):
    names = ["Hüte", "shoes & socks", "a b"]
    path = tmp_path / CLASSES_FILE
    path.write_bytes(format_classes(names))
    assert read_classes_file(path) == names
    assert parse_classes(b"a\r\nb\r\n", path) == ["a", "b"]


def test_missing_or_binary_file_is_rejected(tmp_path):
    with pytest.raises(CompressorError, match=r"classes\.txt is missing"):
        read_classes_file(tmp_path / CLASSES_FILE)
    with pytest.raises(CompressorError, match="is not UTF-8 text"):
        parse_classes(b"caf\xe9\n", "gs://models/classes.txt")
