"""What the components take of Beam beyond its public API: the one place to adapt when a new release moves it.

Beam's public readers of TFRecords take a path for a pattern, so a file named ``a[1].tfrecord`` is not found. What they
read each record with takes an open file.
"""

from __future__ import annotations

from typing import IO

from apache_beam.io.tfrecordio import _TFRecordUtil

WRITTEN_AGAINST = "2.72.0"
"""The release of Beam that this was written against; the names are the same since 2.47."""


def read_record(file: IO[bytes]) -> bytes | None:
    """Reads the next record of an open TFRecord file.

    Args:
        file: Where to read; uncompressed.

    Returns:
        The record; None at the end.

    Raises:
        ValueError: If the file is damaged, or holds something else.
    """
    record: bytes | None = _TFRecordUtil.read_record(file)
    return record
