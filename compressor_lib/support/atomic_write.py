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

_DIGEST_SIZE = hashlib.sha256().digest_size


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
    """Writes arrays into an ``.npz`` file that ends in the SHA-256 of what is before, which NumPy passes over.

    The file takes the place of an older one as :func:`replace_file` does.

    Args:
        arrays: By name.
        path: The file; its folder exists.

    Raises:
        OSError: If it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(path, content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Reads what :func:`write_arrays` wrote; None if the file is missing or damaged."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    content, digest = whole[:-_DIGEST_SIZE], whole[-_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
