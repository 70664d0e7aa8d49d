"""Folders in remote storage (``gs://``, ``hdfs://``, ``s3://``), for what reads and writes local ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tfx.utils import io_utils


@contextmanager
def read_folder(uri: str) -> Iterator[str]:
    """Yields a local folder to read from.

    Args:
        uri: Any folder that TFX can reach.

    Yields:
        The folder itself where it is local, else a copy that lasts for the time being.
    """
    if "://" not in uri:
        yield uri
        return
    with tempfile.TemporaryDirectory() as local:
        io_utils.copy_dir(uri, local)
        yield local


@contextmanager
def write_folder(uri: str) -> Iterator[str]:
    """Yields a local folder to write to, whose files are at ``uri`` afterwards.

    Args:
        uri: Any folder that TFX can reach.

    Yields:
        The folder itself where it is local, else one that is copied unless an exception is raised.
    """
    if "://" not in uri:
        yield uri
        return
    with tempfile.TemporaryDirectory() as local:
        yield local
        io_utils.copy_dir(local, uri)
