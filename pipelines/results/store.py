"""The one way to open the SQLite file of ML Metadata, and the errors for a file that cannot be used."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError

if TYPE_CHECKING:
    import ml_metadata

_FULL, _READ_ONLY = "database or disk is full", "attempt to write a readonly database"
"""SQLite's messages for these errors."""

_IN_USE = "Concurrent writes aborted"
"""ML Metadata's message for a locked file, after half a minute."""


class StoreLocked(CompressorError):
    """Another process keeps the store locked."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"metadata store {path} is locked by another program, such as a database viewer: close it, and run again."
        )


def open_store(path: str, *, create: bool = False) -> ml_metadata.MetadataStore:
    """Opens a store.

    Args:
        path: Its SQLite file.
        create: Whether to create the file if it does not exist.

    Raises:
        StoreLocked: If another process writes to the file.
        CompressorError: If the file is damaged, of another version, or not writable.
    """
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as proto

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = path
    modes = proto.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE_OPENCREATE if create else modes.READWRITE
    try:
        return ml_metadata.MetadataStore(config)
    except (RuntimeError, ml_metadata.errors.StatusError) as error:
        if _IN_USE in str(error):
            raise StoreLocked(path) from error
        for why in (_FULL, _READ_ONLY):
            if why in str(error):
                raise unwritable(path, why) from error
        versions = re.search(r"version (\d+) is \w+ than library version (\d+)", str(error))
        if versions is None:
            raise damaged(path, str(error)) from error
        raise CompressorError(
            f"metadata store {path} is of version {versions[1]}, but the installed ml-metadata supports version "
            f"{versions[2]}: install the matching release, or run 'compressor repair {os.path.dirname(path)}' to start "
            "with a new store. No artifacts are lost."
        ) from error


def unwritable(path: str, why: str) -> CompressorError:
    """Builds the error for a store that is not writable."""
    way_out = "free some disk space" if why == _FULL else "grant write permission"
    return CompressorError(
        f"metadata store {path} cannot be written to ({why}): {way_out}, or choose another folder with --output."
    )


def damaged(path: str, why: str) -> CompressorError:
    """Builds the error for a store that cannot be read, with the command that repairs it."""
    return CompressorError(
        f"metadata store {path} is damaged ({why.splitlines()[0]}): replace it by its copy with "
        f"'compressor repair {os.path.dirname(path)}'. Artifacts and pushed models are not changed."
    )
