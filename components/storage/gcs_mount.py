"""Artifacts in object stores, for code that reads and writes local files.

TensorFlow and Beam read ``gs://`` themselves, but Keras, NumPy and the search's trials need files. On Vertex AI, Cloud
Storage is mounted in each container under ``/gcs``
(https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system). Beam workers elsewhere have no mount, so
the files they need are copied.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfx import types
from tfx.dsl.io import fileio

MOUNT = "COMPRESSOR_GCS_MOUNT"
"""Environment variable for the folder where Cloud Storage is mounted; ``/gcs`` if it is not set."""

_CLOUD_STORAGE = "gs://"


def mounted(path: str) -> str:
    """Returns the local path of a file: under the mount for ``gs://``, otherwise the path itself."""
    if path.startswith(_CLOUD_STORAGE):
        return os.path.join(os.environ.get(MOUNT, "/gcs"), path.removeprefix(_CLOUD_STORAGE))
    return path


@contextmanager
def mounted_artifacts(*channels: Mapping[str, Sequence[types.Artifact]]) -> Iterator[None]:
    """Temporarily replaces the URIs of artifacts with local paths.

    Args:
        channels: Inputs and outputs of an executor.
    """
    artifacts = [artifact for channel in channels for several in channel.values() for artifact in several]
    uris = [artifact.uri for artifact in artifacts]
    for artifact in artifacts:
        artifact.uri = mounted(artifact.uri)
    try:
        yield
    finally:
        for artifact, uri in zip(artifacts, uris, strict=True):
            artifact.uri = uri


@contextmanager
def fetched(folder: str, *names: str) -> Iterator[str]:
    """Yields a local folder with copies of some files of another folder, which may be in any store.

    Args:
        folder: The other folder.
        names: Paths of the files in that folder.
    """
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as local:
        for name in names:
            path = Path(local, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            fileio.copy(os.path.join(folder, name), str(path))
        yield local


@contextmanager
def stored(folder: str) -> Iterator[str]:
    """Yields a local folder whose files are copied to another folder, in any store, at the end."""
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as local:
        yield local
        fileio.makedirs(folder)
        for path in sorted(Path(local).iterdir()):
            fileio.copy(str(path), os.path.join(folder, path.name), overwrite=True)
