"""The one way to open the SQLite file of ML Metadata, and the errors of one that cannot be used."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError

if TYPE_CHECKING:
    import ml_metadata

_FULL, _READ_ONLY = "database or disk is full", "attempt to write a readonly database"
"""How SQLite says so."""

_IN_USE = "Concurrent writes aborted"
"""How ML Metadata says, half a minute later, that the file is locked."""


class StoreLocked(CompressorError):
    """Another process writes to the store, and does not end."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"metadata store {path} is locked by another program, such as one that looks at databases: close it, "
            "and run again."
        )


def open_store(path: str, *, create: bool = False) -> ml_metadata.MetadataStore:
    """Opens a store.

    Args:
        path: Its SQLite file.
        create: Whether it is made where there is none.

    Raises:
        StoreLocked: If another process writes to it.
        CompressorError: If it is damaged or of another version, or cannot be written.
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
            f"metadata store {path} is of version {versions[1]}, and the ml-metadata that is installed knows "
            f"{versions[2]}: install the other one, or begin anew by 'compressor repair {os.path.dirname(path)}'. "
            "No artifact is lost by that."
        ) from error


def unwritable(path: str, why: str) -> CompressorError:
    """The error of a store that cannot be written to."""
    way_out = "free some space on the disk" if why == _FULL else "give the right to write there"
    return CompressorError(
        f"metadata store {path} cannot be written ({why}): {way_out}, or give another folder by --output."
    )


def damaged(path: str, why: str) -> CompressorError:
    """The error of a store that cannot be read, with the way to repair it."""
    return CompressorError(
        f"metadata store {path} is damaged ({why.splitlines()[0]}): put a copy in its place by "
        f"'compressor repair {os.path.dirname(path)}'. Artifacts and pushed models are left as they are."
    )
