"""Local files behind a URI scheme, like an object store. They survive a process that is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfx.dsl.io.filesystem_registry import DEFAULT_FILESYSTEM_REGISTRY
from tfx.dsl.io.plugins.local import LocalFilesystem

from components.storage.object_store import Stat

SCHEME = "disk://"


class DiskStore(LocalFilesystem):
    """``disk:///folder/file`` is ``/folder/file``. Folders exist as long as they are not empty."""

    SUPPORTED_SCHEMES = (SCHEME,)

    @staticmethod
    def open(name: str, mode: str = "r") -> Any:
        """See the base class."""
        if "w" in mode:
            Path(_local(name)).parent.mkdir(parents=True, exist_ok=True)
        return LocalFilesystem.open(_local(name), mode)

    @staticmethod
    def exists(path: str) -> bool:
        """See the base class."""
        return LocalFilesystem.exists(_local(path))

    @staticmethod
    def isdir(path: str) -> bool:
        """See the base class."""
        return LocalFilesystem.isdir(_local(path))

    @staticmethod
    def listdir(path: str) -> list[str]:
        """See the base class."""
        return LocalFilesystem.listdir(_local(path))

    @staticmethod
    def makedirs(path: str) -> None:
        """Does nothing: a folder is created with its first file."""

    @staticmethod
    def remove(path: str) -> None:
        """See the base class."""
        LocalFilesystem.remove(_local(path))
        with suppress(OSError):
            os.removedirs(Path(_local(path)).parent)

    @staticmethod
    def rmtree(path: str) -> None:
        """See the base class."""
        LocalFilesystem.rmtree(_local(path))

    @staticmethod
    def stat(path: str) -> Stat:
        """Returns the status of a file in the form of object stores."""
        found = LocalFilesystem.stat(_local(path))
        return Stat(found.st_size, found.st_mtime_ns)

    @staticmethod
    def walk(top: str, *arguments: Any, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        """See the base class."""
        for folder, folders, files in LocalFilesystem.walk(_local(top), *arguments, **options):
            yield SCHEME + folder, folders, files


def _local(path: str) -> str:
    return path.removeprefix(SCHEME)


def register() -> None:
    """Registers the store with TFX's file functions, in this process."""
    DEFAULT_FILESYSTEM_REGISTRY.register(DiskStore, 10)
