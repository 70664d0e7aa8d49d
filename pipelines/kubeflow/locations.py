"""Maps a task's URIs in an object store to the paths to which the backend's launcher copies their files."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path

MOUNTS = {"gs://": "gcs", "minio://": "minio", "s3://": "s3"}
"""Folder of the local files of each store, by the store's scheme."""

READ_BY_PEOPLE = {".csv", ".html", ".json", ".md", ".pbtxt", ".txt", ".yaml"}
"""Suffixes of text files."""


class Locations:
    """Maps URIs to local paths and back."""

    def __init__(self, root: str) -> None:
        """Starts without any mapping.

        Args:
            root: Folder that contains the folders of the stores.
        """
        self._root = root
        self._remote: dict[str, str] = {}

    def local(self, uri: str) -> str:
        """Returns the local path of a URI's files, and other paths unchanged."""
        for scheme, mount in MOUNTS.items():
            if uri.startswith(scheme):
                path = os.path.join(self._root, mount, uri.removeprefix(scheme))
                self._remote[path] = uri
                return path
        return uri

    def remote(self, text: str, written: Callable[[str], str] = str) -> str:
        """Replaces every known path in a text by its URI.

        Args:
            text: The text.
            written: How the text encodes a path, such as with HTML character references.
        """
        for path in sorted(self._remote, key=len, reverse=True):  # a path may be the prefix of another
            text = text.replace(written(path), written(self._remote[path]))
        return text

    def publish(self, folder: Path) -> None:
        """Replaces the paths in a folder's text files by their URIs, in place.

        The paths do not exist after the pod has ended, so later readers need the URIs. Other files are not changed.

        Args:
            folder: An output of the task.
        """
        for path in folder.rglob("*"):
            if path.suffix not in READ_BY_PEOPLE or not path.is_file():
                continue
            try:
                found = path.read_bytes().decode()
            except UnicodeDecodeError:
                continue
            text = found
            for written in (str, html.escape, _in_json):
                text = self.remote(text, written)
            if text != found:
                path.write_bytes(text.encode())


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
