"""The versions that were pushed to folders, held against what was pushed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.execution.checksums import copy_changed

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2

_DESTINATION = "pushed_destination"
"""Custom property of the Pusher's artifacts."""


def pushed_version(artifact: metadata_store_pb2.Artifact) -> str | None:
    """The folder on this machine that an artifact tells it was pushed to; None if it tells of none."""
    if _DESTINATION not in artifact.custom_properties:
        return None
    version = artifact.custom_properties[_DESTINATION].string_value
    return version if version and "://" not in version else None


def version_changed(version: str, uri: str) -> str | None:
    """What is not in a version as it was pushed.

    Args:
        version: Its folder, on this machine.
        uri: The Pusher's artifact, which holds the same files.

    Returns:
        The first file that is missing, added or another one, or that the version was deleted; None where it is as it
        was, was rolled back, or had to go for newer ones.
    """
    if os.path.exists(version):
        return copy_changed(uri, version)
    from components.artifacts.pushed_versions import was_put_away  # which brings a part of TFX

    return None if was_put_away(version) else "it was deleted"
