"""Folders next to a node's outputs that keep its unfinished work, so that its next attempt resumes it."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

_DONE = "done"
_DELETED = ".deleted-"
_WEEK = 7 * 24 * 3600


def work_key(*described: Any) -> str:
    """Returns a name for a piece of work: a hash of everything that determines its result, as JSON."""
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def sweep(folder: Path) -> None:
    """Deletes the folders of other work next to a folder, if that work is finished or was interrupted a week ago."""
    for done in folder.parent.glob(f"*/{_DONE}"):
        if done.parent != folder and not done.parent.name.startswith(_DELETED):
            # Rename before deleting: a half-deleted folder would look like interrupted work.
            done.parent.rename(folder.with_name(f"{_DELETED}{done.parent.name}"))
    for other in folder.parent.glob("[!.]*"):
        if other != folder and time.time() - max(part.stat().st_mtime for part in (other, *other.iterdir())) > _WEEK:
            other.rename(folder.with_name(f"{_DELETED}{other.name}"))
    for deleted in folder.parent.glob(f"{_DELETED}*"):
        shutil.rmtree(deleted)


def mark_done(folder: Path) -> None:
    """Allows the next :func:`sweep` to delete a folder.

    The folder outlives the work. Until the node's completion is recorded, the node may run again and must give the same
    result.
    """
    (folder / _DONE).touch()
