"""The object store of the stand-in for Kubeflow's backend, and the launcher's downloads and uploads.

It follows ``v2/objectstore/object_store.go`` of kubeflow/pipelines.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubeflow_errors import Refused

MOUNTS = {"gs": "gcs", "minio": "minio", "s3": "s3"}


def is_remote(uri: str) -> bool:
    """Whether ``LocalPathForURI`` has a local path for a URI's files."""
    return uri.startswith(tuple(f"{scheme}://" for scheme in MOUNTS))


def local_path(uri: str, local: Path) -> Path:
    """``LocalPathForURI`` (v2/component/launcher_v2.go), below a task's own root."""
    scheme, rest = uri.split("://", 1)
    return local / MOUNTS[scheme] / rest


class ObjectStore:
    """Files by key. Like any object store, it has no folders and no links."""

    def __init__(self, folder: Path, *, has_boundary: bool = True) -> None:
        """Opens the store.

        Args:
            folder: Folder for the files.
            has_boundary: Whether a download of ``model`` excludes ``model_run``, as from 2.17 on.
        """
        self.folder, self.has_boundary = folder, has_boundary

    def path(self, uri: str) -> Path:
        """The path of a URI's file or files in the store."""
        scheme, rest = uri.split("://", 1)
        return self.folder / scheme / rest

    def download(self, uri: str, local: Path) -> None:
        """``DownloadBlob``: downloads every key that starts with the URI, to its path relative to it.

        Without a boundary, ``model_run/log`` is ``../model_run/log`` relative to ``model``, and ends up beside it.
        """
        source, target = self.path(uri), local_path(uri, local)
        for path in sorted(source.parent.rglob("*")) if source.parent.is_dir() else ():
            if not path.is_file() or not str(path).startswith(str(source)):
                continue
            if self.has_boundary and path != source and source not in path.parents:
                continue
            place = Path(os.path.normpath(target / os.path.relpath(path, source)))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)

    def upload(self, uri: str, local: Path) -> None:
        """``UploadBlob``: uploads files only; a missing file silently ends the upload."""
        try:
            self._upload(local_path(uri, local), self.path(uri))
        except FileNotFoundError:
            return

    def _upload(self, source: Path, target: Path) -> None:
        if source.is_dir():
            for path in sorted(source.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    self._upload(path, target / path.name)
                else:
                    _copy(path, target / path.name)
        else:
            _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """``uploadFile``. ``os.ReadDir`` treats a link to a folder as a file, which cannot be read."""
    if source.is_dir():
        raise Refused(f"unable to complete copying {str(source)!r}: is a directory")
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
