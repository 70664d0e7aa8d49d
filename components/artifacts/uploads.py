"""Versions of pushed models in object stores, where folders cannot be renamed: files are copied and deleted one by one.

``saved_model.pb``, without which no SavedModel loads, is copied last and deleted first, so a version that has it is
complete.
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
"""Seconds without a change after which a push is considered killed."""

_CLAIM = ".pushing-"


def is_complete(version: str) -> bool:
    """Returns whether a version in any store is complete."""
    return bool(fileio.exists(os.path.join(version, SAVED_MODEL)))


def upload(source: str, version: str) -> bool:
    """Copies a model to a store.

    Args:
        source: Local folder of the model.
        version: Target folder, whose name is the version's number.

    Returns:
        Whether the model was copied. False if another pusher is using the same number; nothing is changed then.

    Raises:
        Exception: Whatever the store raises, after an attempt to delete the partial copy.
    """
    claim = f"{_CLAIM}{uuid.uuid4().hex}"
    if not _claimed(version, claim):
        return False
    try:
        *others, last = sorted(model_files(source), key=lambda path: path == SAVED_MODEL)
        for path in others:
            _copy(source, version, path)
        fileio.remove(os.path.join(version, claim))  # from here on, the other files claim the number
        _copy(source, version, last)
    except BaseException:
        with suppress(Exception):
            delete(version)
        raise
    return True


def move(source: str, target: str) -> None:
    """Moves a version to another folder of the same store."""
    for path in sorted(model_files(source), key=lambda path: path != SAVED_MODEL):
        fileio.makedirs(os.path.dirname(os.path.join(target, path)))
        fileio.rename(os.path.join(source, path), os.path.join(target, path), overwrite=True)
    with suppress(Exception):  # object stores have no empty folders
        fileio.rmtree(source)


def delete(version: str) -> None:
    """Deletes a version in any store."""
    model = os.path.join(version, SAVED_MODEL)
    if fileio.exists(model):
        fileio.remove(model)
    fileio.rmtree(version)


def is_abandoned(version: str) -> bool:
    """Returns whether a version in a store has not received a file for a day."""
    try:
        times = [fileio.stat(os.path.join(version, path)).mtime_nsec / 1e9 for path in model_files(version)]
    except filesystem.NotFoundError:  # another pusher has just removed its claim
        return False
    return bool(times) and time.time() - max(times) > ABANDONED_AFTER


def _claimed(version: str, claim: str) -> bool:
    """Claims a version's folder with a file, and returns whether no other pusher uses it.

    Each pusher writes its file before it lists the folder, so at most one of several pushers finds only its own.
    """
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
