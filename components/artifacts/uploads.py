"""Versions in object stores, where no folder can be renamed: files come and go one by one.

``saved_model.pb``, without which a folder is no model, comes last and goes first.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress

from tfx.dsl.io import fileio, filesystem

from components.artifacts.model_files import model_files
from compressor_lib.deployment.model_path import SAVED_MODEL

ABANDONED_AFTER = 24 * 3600.0
"""Seconds without a change, after which a push is taken to have been killed."""

_CLAIM = ".pushing-"


def is_complete(version: str) -> bool:
    """Whether a version, in any store, is all there."""
    return bool(fileio.exists(os.path.join(version, SAVED_MODEL)))


def upload(source: str, version: str) -> bool:
    """Copies a model into a store.

    Args:
        source: Its folder, on this machine.
        version: Where it goes, named by a number.

    Returns:
        False if another pusher took the number just now; nothing was changed then.
    """
    claim = f"{_CLAIM}{uuid.uuid4().hex}"
    if not _claimed(version, claim):
        return False
    try:
        *others, last = sorted(model_files(source), key=lambda path: path == SAVED_MODEL)
        for path in others:
            _copy(source, version, path)
        fileio.remove(os.path.join(version, claim))  # from here on the other files hold the number
        _copy(source, version, last)
    except BaseException:
        with suppress(Exception):
            delete(version)
        raise
    return True


def move(source: str, target: str) -> None:
    """Moves a version to another folder of its store."""
    for path in sorted(model_files(source), key=lambda path: path != SAVED_MODEL):
        fileio.makedirs(os.path.dirname(os.path.join(target, path)))
        fileio.rename(os.path.join(source, path), os.path.join(target, path), overwrite=True)
    with suppress(Exception):  # an object store has no empty folders
        fileio.rmtree(source)


def delete(version: str) -> None:
    """Deletes a version, in any store."""
    model = os.path.join(version, SAVED_MODEL)
    if fileio.exists(model):
        fileio.remove(model)
    fileio.rmtree(version)


def is_abandoned(version: str) -> bool:
    """Whether nothing has come to a version in a store for a day."""
    try:
        times = [fileio.stat(os.path.join(version, path)).mtime_nsec / 1e9 for path in model_files(version)]
    except filesystem.NotFoundError:  # a claim that ended just now
        return False
    return bool(times) and time.time() - max(times) > ABANDONED_AFTER


def _claimed(version: str, claim: str) -> bool:
    """Takes a number. Of several pushers at most one sees no file but its own, for each writes before it looks."""
    path, alone = os.path.join(version, claim), False
    try:
        fileio.makedirs(version)
        with fileio.open(path, "w") as file:
            file.write("being pushed")
        alone = list(model_files(version)) == [claim]
    finally:
        if not alone and fileio.exists(path):
            fileio.remove(path)
    return alone


def _copy(source: str, version: str, path: str) -> None:
    target = os.path.join(version, path)
    fileio.makedirs(os.path.dirname(target))
    fileio.copy(os.path.join(source, path), target)
