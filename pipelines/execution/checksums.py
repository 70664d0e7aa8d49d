"""What a node wrote, by checksums: an artifact that was changed or half deleted afterwards is not used.

Beside every artifact ``<node>/<key>/<execution>`` lies ``.<execution>.sha256.json``, written when its node has ended
and before ML Metadata hears of it. Where a file's size and time are as recorded, its content is taken to be, too; where
only the time differs, the content is read again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from compressor_lib.support.atomic_write import replace_file


def record(uri: str) -> None:
    """Records what an artifact consists of.

    Args:
        uri: Folder or file on this machine; of an artifact elsewhere, nothing is recorded.
    """
    if "://" not in uri and Path(uri).exists():
        files = {name: [*_stat(path), _sha256(path)] for name, path in _files(Path(uri)).items()}
        replace_file(_record(uri), json.dumps(files))


def changed(uri: str) -> str | None:
    """What is not as it was recorded.

    Args:
        uri: As :func:`record` takes it.

    Returns:
        The first file that is missing, added or another one; None where all is as it was, or nothing is recorded.
    """
    if "://" in uri or not _record(uri).is_file():
        return None
    recorded, found = _read(_record(uri)), _files(Path(uri))
    if recorded is None:
        return "its checksums are damaged"
    if difference := _other_names(uri, recorded, found):
        return difference
    touched = False
    for name, (size, time, sha256) in recorded.items():
        size_now, time_now = _stat(found[name])
        if size_now != size or (time_now != time and _sha256(found[name]) != sha256):
            return f"{name or uri} is another one"
        touched = touched or time_now != time
    if touched:  # as by a copy of the whole output: its content need not be read each time
        record(uri)
    return None


def copy_changed(uri: str, copy: str) -> str | None:
    """What is not in a copy of an artifact as it was recorded; its content is read, for times are not copied.

    Args:
        uri: The artifact, as :func:`record` takes it.
        copy: Folder with all of its files.

    Returns:
        As :func:`changed`.
    """
    recorded, found = _read(_record(uri)) if _record(uri).is_file() else None, _files(Path(copy))
    if recorded is None:
        return None
    if difference := _other_names(copy, recorded, found):
        return difference
    return next(
        (f"{name or copy} is another one" for name, (*_, sha256) in recorded.items() if _sha256(found[name]) != sha256),
        None,
    )


def _other_names(path: str, recorded: dict[str, Any], found: dict[str, Path]) -> str | None:
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            return f"{name or path} is missing"
        if name not in recorded:
            return f"{name} was added"
    return None


def _record(uri: str) -> Path:
    path = Path(uri)
    return path.with_name(f".{path.name}.sha256.json")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _files(path: Path) -> dict[str, Path]:
    """All files of an artifact by their names in it; of a single file, by an empty name."""
    if path.is_file():
        return {"": path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}


def _stat(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
