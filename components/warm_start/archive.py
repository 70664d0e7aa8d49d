"""The file that a run writes to its push directory, and the next run finds by its path.

It is a single ZIP file that appears under its name only when it is complete, in any store.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from tfx.dsl.io import fileio

logger = logging.getLogger(__name__)

HANDOVER = ".handover.zip"
"""Name of the file in the push directory. Serving only looks at folders whose names are numbers."""

NEWEST, NOTE = "newest_version", "note"
"""Keys of the additional data: the span, the newest pushed version, and a note of the platform."""

_ABOUT = "about.json"


def write_handover(push_directory: str, parts: Mapping[str, str], about: Mapping[str, Any]) -> None:
    """Writes the file and replaces an older one.

    Args:
        push_directory: The push directory, in any store.
        parts: Folders to store, in any store, by name.
        about: Additional data, JSON-compatible.
    """
    final = os.path.join(push_directory, HANDOVER)
    with tempfile.TemporaryDirectory() as local:
        draft = os.path.join(local, HANDOVER)
        members = {
            str(PurePosixPath(part, os.path.relpath(path, folder))): path
            for part, folder in parts.items()
            for path in _files(folder)
        }
        with zipfile.ZipFile(draft, "w") as archive:
            archive.writestr(_ABOUT, json.dumps({"members": list(members), "about": about}))
            for member, path in members.items():
                with fileio.open(path, "rb") as source, archive.open(member, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        fileio.makedirs(push_directory)
        fileio.copy(draft, f"{final}.tmp", overwrite=True)
    fileio.rename(f"{final}.tmp", final, overwrite=True)


def read_handover(push_directory: str, parts: Mapping[str, str]) -> dict[str, Any] | None:
    """Reads the file, if there is one.

    Args:
        push_directory: The push directory, in any store.
        parts: Folders to fill, in any store, by the names given to :func:`write_handover`. The folder of a part that
            was not stored is left unchanged.

    Returns:
        The additional data. None if the file is missing or damaged; damage is logged.
    """
    path = os.path.join(push_directory, HANDOVER)
    if not fileio.exists(path):
        return None
    with tempfile.TemporaryDirectory() as local:
        copy = os.path.join(local, HANDOVER)
        fileio.copy(path, copy)
        try:
            with zipfile.ZipFile(copy) as archive:
                _check(archive, size=os.path.getsize(copy))
                content = json.loads(archive.read(_ABOUT))
                if archive.namelist() != [_ABOUT, *content["members"]]:  # zipfile does not detect missing members
                    raise zipfile.BadZipFile("its members do not match its list")
                about: dict[str, Any] = content["about"]
        except Exception as error:  # damaged archives make zipfile raise almost any exception
            logger.warning("%s cannot be read (%r): this run starts without results of earlier runs", path, error)
            return None
        with zipfile.ZipFile(copy) as archive:  # it is intact, so errors here, such as a full disk, are raised
            archive.extractall(local, [name for name in content["members"] if PurePosixPath(name).parts[0] in parts])
        for part, folder in parts.items():
            for source in _files(os.path.join(local, part)):
                target = os.path.join(folder, os.path.relpath(source, os.path.join(local, part)))
                fileio.makedirs(os.path.dirname(target))
                fileio.copy(source, target, overwrite=True)
    return about


def _check(archive: zipfile.ZipFile, size: int) -> None:
    """Rejects archives that :func:`write_handover` does not write: damaged, unsafe or too large."""
    for member in archive.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if not parts or parts[0].startswith("/") or ".." in parts:
            raise zipfile.BadZipFile(f"its member {member.filename} leads out of the folder")
    if sum(member.file_size for member in archive.infolist()) > size:
        raise zipfile.BadZipFile("its unpacked size is too large")
    if damaged := archive.testzip():
        raise zipfile.BadZipFile(f"its member {damaged} is damaged")


def _files(folder: str) -> list[str]:
    return sorted(os.path.join(place, name) for place, _, names in fileio.walk(folder) for name in names)
