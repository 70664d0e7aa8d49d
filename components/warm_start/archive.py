"""The file that a run leaves in its push destination, and the next one finds by its path alone.

It is one ZIP file, put there under its name only when it is whole, so it can lie in any store: complete, or absent.
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
"""Its name in the push directory. Serving looks at folders whose names are numbers alone."""

NEWEST, NOTE = "newest_version", "note"
"""What is told beside the span: the newest pushed version, and what a platform wants to be kept."""

_ABOUT = "about.json"


def write_handover(push_directory: str, parts: Mapping[str, str], about: Mapping[str, Any]) -> None:
    """Writes the file, in place of an older one.

    Args:
        push_directory: The push destination, in any store.
        parts: Folders to keep, in any store, by names to find them by.
        about: What else is to be told; JSON.
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
        push_directory: The push destination, in any store.
        parts: Folders to fill, in any store, by the names that were given to :func:`write_handover`; a part that was
            not kept leaves its folder as it is.

    Returns:
        What else is told. None where there is no such file, or a damaged one, which is logged.
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
                told = json.loads(archive.read(_ABOUT))
                if archive.namelist() != [_ABOUT, *told["members"]]:  # zipfile finds nothing wrong with a short list
                    raise zipfile.BadZipFile("its members are not those that were written")
                about: dict[str, Any] = told["about"]
        except Exception as error:  # Damaged archives make zipfile raise almost anything.
            logger.warning("%s cannot be read (%r): this run starts from nothing", path, error)
            return None
        with zipfile.ZipFile(copy) as archive:  # it is whole: what fails here, such as a full disk, is told
            archive.extractall(local, [name for name in told["members"] if PurePosixPath(name).parts[0] in parts])
        for part, folder in parts.items():
            for source in _files(os.path.join(local, part)):
                target = os.path.join(folder, os.path.relpath(source, os.path.join(local, part)))
                fileio.makedirs(os.path.dirname(target))
                fileio.copy(source, target, overwrite=True)
    return about


def _check(archive: zipfile.ZipFile, size: int) -> None:
    """Refuses what :func:`write_handover` does not write: members that are damaged, lead out, or unfold to more."""
    for member in archive.infolist():
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if not parts or parts[0].startswith("/") or ".." in parts:
            raise zipfile.BadZipFile(f"its {member.filename} leads out of it")
    if sum(member.file_size for member in archive.infolist()) > size:
        raise zipfile.BadZipFile("it holds more than its size")
    if damaged := archive.testzip():
        raise zipfile.BadZipFile(f"its {damaged} is damaged")


def _files(folder: str) -> list[str]:
    return sorted(os.path.join(place, name) for place, _, names in fileio.walk(folder) for name in names)
