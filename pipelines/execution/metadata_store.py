"""The file of ML Metadata: looked at before a run, kept in a copy, and put right where it is damaged."""

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
"""Seconds to wait for another process that writes."""


def prepare(path: str, pipeline_root: str, push_directory: str) -> list[str]:
    """Makes the store fit for a run: whole, copied, and telling of no artifact that is not as its node left it.

    TFX names outputs after its executions' numbers. Numbers that folders have already are not given again, so that a
    store that begins anew, or is an older copy, does not lead nodes to write over what is there.

    Args:
        path: The SQLite file; it is made if it is not there.
        pipeline_root: Folder of the artifacts.
        push_directory: Where the run pushes its model, in any store.

    Returns:
        A line for each artifact, and for each version that was pushed to a folder, that was deleted or changed since
        its node wrote it; none of them will be used.

    Raises:
        CompressorError: If the store is locked, damaged, poorer than its copy, or of another version; or the push
            directory, which an earlier run looked into, cannot be read.
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
        CompressorError: If the copy that is there knows more.
    """
    _check_history(path)
    with _sqlite(path) as database:
        _copy(database, _kept(path))


def repair(path: str) -> str:
    """Puts a damaged store right. It stays beside, under another name; artifacts are left alone.

    Args:
        path: The SQLite file; it may be gone.

    Returns:
        What was done, in a sentence.

    Raises:
        CompressorError: If it is not damaged, or locked.
    """
    try:
        _check(path)
        _check_history(path)
        open_store(path, create=True)
    except CompressorError as error:
        if isinstance(error, StoreLocked):
            raise
    else:
        raise CompressorError(f"{path} is whole: there is nothing to repair.")
    aside, kept = f"{path}.damaged-{datetime.now():%Y%m%d-%H%M%S}", _kept(path)
    beside = f"{aside} is what was damaged" if os.path.exists(path) else f"{path} was gone"
    if os.path.exists(path):
        os.replace(path, aside)
    try:
        _check(kept)
        if not os.path.exists(kept):
            raise CompressorError("there is no copy")
        with _sqlite(kept) as database:
            _copy(database, path)
        open_store(path, create=True)
    except CompressorError:
        Path(path).unlink(missing_ok=True)
        if os.path.exists(kept):  # else it would be asked for at each run
            os.replace(kept, f"{aside}.copy")
        return f"{beside}; no copy of it can be read: the next run makes everything anew."
    when = datetime.fromtimestamp(os.path.getmtime(kept))
    return f"{beside}; the copy of {when:%Y-%m-%d %H:%M:%S} took its place: run again to go on from it."


def _check(path: str) -> None:
    """Refuses what is no whole database, or locked."""
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
    """Refuses a store that was deleted, emptied or put in another's place: SQLite takes even an empty file as whole."""
    known, kept = _executions(path), _executions(_kept(path))
    if known < kept:
        found = f"it knows {known} executions" if os.path.exists(path) else "it is gone"
        raise damaged(path, f"{found}, and its copy knows {kept}")


def _executions(path: str) -> int:
    """How many a store knows: they become more, never fewer. 0 where none can be read."""
    if not os.path.exists(path):
        return 0
    try:
        with _sqlite(path) as database:
            (count,) = database.execute("SELECT COUNT(*) FROM Execution").fetchone()
            return int(count)
    except sqlite3.DatabaseError:
        return 0


def _forget_changed(store: ml_metadata.MetadataStore, push_directory: str) -> list[str]:
    """Marks artifacts that are not as they were written, not served as they were pushed, or outdated, as deleted.

    Neither caches nor resolvers take those.
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
            lines.append(f"{place} is made anew: {difference}")
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
