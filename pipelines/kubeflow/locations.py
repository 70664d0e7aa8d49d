"""Where a task's files are: URIs in an object store, and the paths to which the backend's launcher copies them."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path

MOUNTS = {"gs://": "gcs", "minio://": "minio", "s3://": "s3"}
"""The folder of the files of each store, by the store's scheme."""

READ_BY_PEOPLE = {".csv", ".html", ".json", ".md", ".pbtxt", ".txt", ".yaml"}
"""Suffixes of text files."""


class Locations:
    """Maps URIs to local paths, and back."""

    def __init__(self, root: str) -> None:
        """Starts with no known path.

        Args:
            root: The folder that holds the stores' folders.
        """
        self._root = root
        self._remote: dict[str, str] = {}

    def local(self, uri: str) -> str:
        """The path of a URI's files here; other paths are left as they are."""
        for scheme, mount in MOUNTS.items():
            if uri.startswith(scheme):
                path = os.path.join(self._root, mount, uri.removeprefix(scheme))
                self._remote[path] = uri
                return path
        return uri

    def remote(self, text: str, written: Callable[[str], str] = str) -> str:
        """A text with every known path in it turned back into its URI.

        Args:
            text: The text.
            written: How the text writes a path, such as with HTML's character references.
        """
        for path in sorted(self._remote, key=len, reverse=True):  # one may begin like another
            text = text.replace(written(path), written(self._remote[path]))
        return text

    def publish(self, folder: Path) -> None:
        """Turns the paths in the text files of a folder back into their URIs, in place.

        The paths are gone with the pod, and whoever reads the files later needs the URIs. Other files are not touched.

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
