"""ML Metadata's file: checked before a run, copied, and repaired if it is damaged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError
from pipelines.execution.checksums import changed
from pipelines.execution.class_order import outdated_lists
from pipelines.execution.pushed_versions import pushed_version, version_changed
from pipelines.results.store import StoreLocked, damaged, open_store, unwritable

if TYPE_CHECKING:
    import ml_metadata

PATIENCE = 5.0
"""Seconds to wait for another process that writes to it."""


def prepare(path: str, pipeline_root: str, push_directory: str) -> list[str]:
    """Prepares the store for a run: checks it, copies it, and drops artifacts that are not as their nodes left them.

    TFX names output folders after execution numbers. Numbers of existing folders are not used again, so that nodes do
    not overwrite artifacts when the store is new, or an older copy.

    Args:
        path: The SQLite file, which is created if it does not exist.
        pipeline_root: Folder of the artifacts.
        push_directory: Where the run pushes its model, local or remote.

    Returns:
        A line for each artifact or pushed version that was deleted or changed since its node wrote it. None of them
        will be used.

    Raises:
        CompressorError: If the store is locked, damaged, of another version, or has fewer executions than its copy;
            or if the push directory, which an earlier run read, cannot be read.
    """
    _check(path)
    _check_history(path)
    store = open_store(path, create=True)
    lines = _forget_changed(store, push_directory)
    del store
    taken = [int(folder.name) for folder in Path(pipeline_root).glob("*/*/*") if folder.name.isdigit()]
    with _sqlite(path) as database:
        (last,) = database.execute(
            "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'Execution'"
        ).fetchone()
        if max(taken, default=0) > last:
            database.execute("DELETE FROM sqlite_sequence WHERE name = 'Execution'")
            database.execute("INSERT INTO sqlite_sequence VALUES ('Execution', ?)", (max(taken),))
            database.commit()
    keep_copy(path)
    return lines


def keep_copy(path: str) -> None:
    """Copies the store, for :func:`repair`.

    Raises:
        CompressorError: If the existing copy has more executions.
    """
    _check_history(path)
    with _sqlite(path) as database:
        _copy(database, _kept(path))


def repair(path: str) -> str:
    """Replaces a damaged store by its copy. The damaged file is renamed, and artifacts are not changed.

    Args:
        path: The SQLite file, which may be missing.

    Returns:
        A sentence that says what was done.

    Raises:
        CompressorError: If the store is not damaged, or is locked.
    """
    try:
        _check(path)
        _check_history(path)
        open_store(path, create=True)
    except CompressorError as error:
        if isinstance(error, StoreLocked):
            raise
    else:
        raise CompressorError(f"{path} is not damaged: there is nothing to repair.")
    aside, kept = f"{path}.damaged-{datetime.now():%Y%m%d-%H%M%S}", _kept(path)
    beside = f"the damaged store is now {aside}" if os.path.exists(path) else f"{path} was missing"
    if os.path.exists(path):
        os.replace(path, aside)
    try:
        _check(kept)
        if not os.path.exists(kept):
            raise CompressorError("there is no copy.")
        with _sqlite(kept) as database:
            _copy(database, path)
        open_store(path, create=True)
    except CompressorError:
        Path(path).unlink(missing_ok=True)
        if os.path.exists(kept):  # otherwise every run would ask to repair from it
            os.replace(kept, f"{aside}.copy")
        return f"{beside}; there is no readable copy of it, so the next run starts from scratch."
    when = datetime.fromtimestamp(os.path.getmtime(kept))
    return f"{beside}; the copy of {when:%Y-%m-%d %H:%M:%S} replaces it: run again to continue from there."


def _check(path: str) -> None:
    """Refuses a damaged or locked database."""
    if not os.path.exists(path):
        return
    try:
        with _sqlite(path) as database:
            database.execute("BEGIN IMMEDIATE")
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            database.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreLocked(path) from error
        raise unwritable(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from error
    if verdict != "ok":
        raise damaged(path, verdict)


def _check_history(path: str) -> None:
    """Refuses a store that was deleted, emptied or replaced. SQLite accepts even an empty file as intact."""
    known, kept = _executions(path), _executions(_kept(path))
    if known < kept:
        found = f"it has {known} executions" if os.path.exists(path) else "it is missing"
        raise damaged(path, f"{found}, and its copy has {kept}")


def _executions(path: str) -> int:
    """Counts the executions in a store, which never become fewer; 0 if it cannot be read."""
    if not os.path.exists(path):
        return 0
    try:
        with _sqlite(path) as database:
            (count,) = database.execute("SELECT COUNT(*) FROM Execution").fetchone()
            return int(count)
    except sqlite3.DatabaseError:
        return 0


def _forget_changed(store: ml_metadata.MetadataStore, push_directory: str) -> list[str]:
    """Marks artifacts as deleted that were changed, whose pushed version was changed, or that are outdated.

    Neither the cache nor resolvers use deleted artifacts.
    """
    from ml_metadata.proto import metadata_store_pb2 as proto

    lines, forgotten = [], []
    for artifact in store.get_artifacts():
        if artifact.state != proto.Artifact.LIVE or "://" in artifact.uri:
            continue
        place, difference = artifact.uri, changed(artifact.uri) if os.path.exists(artifact.uri) else "it was deleted"
        if not difference and (version := pushed_version(artifact)):
            place, difference = version, version_changed(version, artifact.uri)
        if difference:
            lines.append(f"{place} will be made again: {difference}")
            artifact.state = proto.Artifact.DELETED
            forgotten.append(artifact)
    for artifact in outdated_lists(store, push_directory):
        artifact.state = proto.Artifact.DELETED
        forgotten.append(artifact)
    if forgotten:
        store.put_artifacts(forgotten)
    return lines


def _kept(path: str) -> str:
    return f"{path}.copy"


def _copy(database: sqlite3.Connection, path: str) -> None:
    draft = f"{path}.tmp"
    Path(draft).unlink(missing_ok=True)
    with _sqlite(draft) as copy:
        database.backup(copy)
    os.replace(draft, path)


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as database:
        yield database
