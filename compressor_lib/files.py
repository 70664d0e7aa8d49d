"""Files that are there as a whole or not at all, whenever the process that writes them is killed."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def replace_file(path: str | Path, content: bytes | str) -> None:
    """Writes a file, or puts it in the place of the one that is there.

    The content goes to a draft beside it, which takes the name at once when it is complete and on the disk (POSIX
    ``rename``); until then a reader sees what was there before.

    Args:
        path: The file; its folder exists.
        content: Bytes, or text that is written in UTF-8.

    Raises:
        OSError: If it cannot be written; what was there before is left.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_arrays(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Writes arrays into an ``.npz`` file, with its SHA-256 in a file beside it.

    Args:
        arrays: By name.
        path: The file; its folder exists.

    Raises:
        OSError: If it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)
    # A process that is killed between the two leaves a checksum that does not match, and the file counts as damaged.
    replace_file(_checksum(path), hashlib.sha256(content.getvalue()).hexdigest())
    replace_file(path, content.getvalue())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Reads what :func:`write_arrays` wrote; None if the file is missing or damaged."""
    try:
        content, checksum = path.read_bytes(), _checksum(path).read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
