"""Artifacts in an object store, for code that reads and writes files.

TensorFlow and Beam read ``gs://`` by themselves; Keras, NumPy and a search's trials need files. On Vertex AI each
container has Cloud Storage mounted under ``/gcs``
(https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system). Beam's workers elsewhere have no mount, so
what they need is copied.
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
"""Environment variable with the folder under which Cloud Storage is mounted; ``/gcs`` if it is not set."""

_CLOUD_STORAGE = "gs://"


def mounted(path: str) -> str:
    """Where the files of a path are on this machine: under the mount for ``gs://``, else where it says."""
    if path.startswith(_CLOUD_STORAGE):
        return os.path.join(os.environ.get(MOUNT, "/gcs"), path.removeprefix(_CLOUD_STORAGE))
    return path


@contextmanager
def mounted_artifacts(*channels: Mapping[str, Sequence[types.Artifact]]) -> Iterator[None]:
    """Lets artifacts say where their files are on this machine; afterwards they have their URIs again.

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
    """A folder on this machine with some files of another folder, which may be in any store.

    Args:
        folder: The other folder.
        names: The files' paths in it.
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
    """A folder on this machine whose files go to another one at the end, which may be in any store."""
    if "://" not in folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as local:
        yield local
        fileio.makedirs(folder)
        for path in sorted(Path(local).iterdir()):
            fileio.copy(str(path), os.path.join(folder, path.name), overwrite=True)
