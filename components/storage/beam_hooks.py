"""Beam's private API that the components use: the one place to change if a new release changes it.

Beam's public TFRecord readers treat a path as a pattern, so they do not find a file named ``a[1].tfrecord``. The
private function that they use to read a record takes an open file.
"""

from __future__ import annotations

from typing import IO

from apache_beam.io.tfrecordio import _TFRecordUtil

WRITTEN_AGAINST = "2.72.0"
"""The release of Beam that this was written against. The names are the same since 2.47."""


def read_record(file: IO[bytes]) -> bytes | None:
    """Reads the next record of an open TFRecord file.

    Args:
        file: Uncompressed file to read from.

    Returns:
        The record; None at the end of the file.

    Raises:
        ValueError: If the file is damaged or is not a TFRecord file.
    """
    record: bytes | None = _TFRecordUtil.read_record(file)
    return record
