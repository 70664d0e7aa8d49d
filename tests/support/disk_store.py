"""Files on this machine behind a scheme, as in an object store. They outlive a process that is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tfx.dsl.io.filesystem_registry import DEFAULT_FILESYSTEM_REGISTRY
from tfx.dsl.io.plugins.local import LocalFilesystem

from components.object_store import Stat

SCHEME = "disk://"


class DiskStore(LocalFilesystem):
    """``disk:///folder/file`` is ``/folder/file``."""

    SUPPORTED_SCHEMES = (SCHEME,)

    @staticmethod
    def stat(path: str) -> Stat:
        """As stores tell it."""
        found = LocalFilesystem.stat(path.removeprefix(SCHEME))
        return Stat(found.st_size, found.st_mtime_ns)

    @staticmethod
    def walk(top: str, *arguments: Any, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        """See the base class."""
        for folder, folders, files in LocalFilesystem.walk(top.removeprefix(SCHEME), *arguments, **options):
            yield SCHEME + folder, folders, files


def _behind_the_scheme(method: Callable[..., Any]) -> Callable[..., Any]:
    def called(*paths: str, **options: Any) -> Any:
        return method(*(path.removeprefix(SCHEME) for path in paths), **options)

    return called


for _name in ("open", "copy", "exists", "isdir", "listdir", "makedirs", "remove", "rename", "rmtree"):
    setattr(DiskStore, _name, staticmethod(_behind_the_scheme(getattr(LocalFilesystem, _name))))


def register() -> None:
    """Lets TFX's file functions know it, in this process."""
    DEFAULT_FILESYSTEM_REGISTRY.register(DiskStore, 10)
