"""Writes files atomically: a file is complete or absent, even if the process is killed."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DIGEST_SIZE = hashlib.sha256().digest_size


def replace_file(path: str | Path, content: bytes | str) -> None:
    """Writes a file, replacing an existing one.

    The content is first written to a draft next to the file. Once the draft is complete and on disk, it is renamed
    (POSIX ``rename``). Until then, readers see the previous content.

    Args:
        path: The file. Its folder must exist.
        content: Bytes, or text to be encoded as UTF-8.

    Raises:
        OSError: If the file cannot be written. The previous content is kept.
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
    """Writes arrays to an ``.npz`` file followed by a SHA-256 of its content, which NumPy ignores.

    An existing file is replaced as in :func:`replace_file`.

    Args:
        arrays: The arrays by name.
        path: The file. Its folder must exist.

    Raises:
        OSError: If the file cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(path, content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Reads a file written by :func:`write_arrays`. Returns None if it is missing or damaged."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    content, digest = whole[:-_DIGEST_SIZE], whole[-_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
