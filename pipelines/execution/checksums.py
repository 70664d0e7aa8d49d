"""Checksums of artifacts, so that one that was changed or partly deleted afterwards is not used.

The checksums of an artifact ``<node>/<key>/<execution>`` are in ``.<execution>.sha256.json`` beside it, written
when its node has ended, before ML Metadata records the artifact. A file whose size and time are unchanged counts as
unchanged; if only the time differs, its content is read again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from compressor_lib.support.atomic_write import replace_file


def record(uri: str) -> None:
    """Records the checksums of an artifact's files.

    Args:
        uri: A local folder or file. Nothing is recorded for a remote artifact.
    """
    if "://" not in uri and Path(uri).exists():
        files = {name: [*_stat(path), _sha256(path)] for name, path in _files(Path(uri)).items()}
        replace_file(_record(uri), json.dumps(files))


def changed(uri: str) -> str | None:
    """Describes the first difference between an artifact and its record.

    Args:
        uri: As for :func:`record`.

    Returns:
        The first file that is missing, added or changed; None if there is none, or nothing is recorded.
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
            return f"{name or uri} was changed"
        touched = touched or time_now != time
    if touched:  # such as by copying the whole output: the content need not be read each time
        record(uri)
    return None


def copy_changed(uri: str, copy: str) -> str | None:
    """Describes the first difference between a copy of an artifact and the artifact's record.

    The content is always read, because times are not copied.

    Args:
        uri: The artifact, as for :func:`record`.
        copy: Folder with a copy of its files.

    Returns:
        As for :func:`changed`.
    """
    recorded, found = _read(_record(uri)) if _record(uri).is_file() else None, _files(Path(copy))
    if recorded is None:
        return None
    if difference := _other_names(copy, recorded, found):
        return difference
    return next(
        (f"{name or copy} was changed" for name, (*_, sha256) in recorded.items() if _sha256(found[name]) != sha256),
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
    """All files of an artifact, by relative path; the path of a single file is empty."""
    if path.is_file():
        return {"": path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}


def _stat(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
