"""Folders in which a node keeps work that may be cut short, beside its outputs, so that its next try resumes there."""

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
    """A name for work: a hash of all that decides its result, as JSON takes it."""
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]


def sweep(folder: Path) -> None:
    """Deletes the folders of other work beside a folder, if that work is done, or was cut short a week ago."""
    for done in folder.parent.glob(f"*/{_DONE}"):
        if done.parent != folder and not done.parent.name.startswith(_DELETED):
            # Under another name first: half of a folder would be taken for work that was cut short.
            done.parent.rename(folder.with_name(f"{_DELETED}{done.parent.name}"))
    for other in folder.parent.glob("[!.]*"):
        if other != folder and time.time() - max(part.stat().st_mtime for part in (other, *other.iterdir())) > _WEEK:
            other.rename(folder.with_name(f"{_DELETED}{other.name}"))
    for deleted in folder.parent.glob(f"{_DELETED}*"):
        shutil.rmtree(deleted)


def mark_done(folder: Path) -> None:
    """Lets the next :func:`sweep` delete a folder.

    It outlives the work: until the end of the node is recorded, the node may run again and have to give the same.
    """
    (folder / _DONE).touch()
