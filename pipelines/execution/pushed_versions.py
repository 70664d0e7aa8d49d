"""Compares versions in push directories with the artifacts that were pushed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.execution.checksums import copy_changed

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2

_DESTINATION = "pushed_destination"
"""Custom property of the Pusher's artifacts."""


def pushed_version(artifact: metadata_store_pb2.Artifact) -> str | None:
    """The local folder that an artifact was pushed to; None if there is none."""
    if _DESTINATION not in artifact.custom_properties:
        return None
    version = artifact.custom_properties[_DESTINATION].string_value
    return version if version and "://" not in version else None


def version_changed(version: str, uri: str) -> str | None:
    """Describes the first difference between a version and the artifact that was pushed.

    Args:
        version: The version's local folder.
        uri: The Pusher's artifact, which holds the same files.

    Returns:
        The first file that is missing, added or changed, or a note that the version was deleted. None if it is
        unchanged, was rolled back, or was deleted to make room for newer versions.
    """
    if os.path.exists(version):
        return copy_changed(uri, version)
    from components.artifacts.pushed_versions import was_put_away  # imports a part of TFX

    return None if was_put_away(version) else "it was deleted"
