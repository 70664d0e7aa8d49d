from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as proto

from compressor_lib.errors import CompressorError
from pipelines.execution import checksums, metadata_store
from pipelines.execution.metadata_store import keep_copy, prepare, repair
from pipelines.results.store import open_store

LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def output(tmp_path) -> Path:
    """An output folder with a store that knows one artifact."""
    store = open_store(str(tmp_path / "metadata.sqlite"), create=True)
    node = store.put_execution_type(proto.ExecutionType(name="Node"))
    store.put_executions([proto.Execution(type_id=node)])
    kind = store.put_artifact_type(proto.ArtifactType(name="Model"))
    model = tmp_path / "pipeline_root" / "Node" / "model" / "1"
    model.mkdir(parents=True)
    (model / "weights").write_text("1")
    checksums.record(str(model))
    store.put_artifacts([proto.Artifact(type_id=kind, uri=str(model), state=proto.Artifact.LIVE)])
    return tmp_path


def prepared(output: Path) -> list[str]:
    return prepare(str(output / "metadata.sqlite"), str(output / "pipeline_root"), str(output / "serving"))


def states(output: Path) -> list[int]:
    return [artifact.state for artifact in open_store(str(output / "metadata.sqlite")).get_artifacts()]


def next_execution(output: Path) -> int:
    store = open_store(str(output / "metadata.sqlite"))
    node = store.put_execution_type(proto.ExecutionType(name="Node"))
    (number,) = store.put_executions([proto.Execution(type_id=node)])
    return number


def test_a_whole_store_is_copied_and_otherwise_left_alone(output):
    assert prepared(output) == []
    assert states(output) == [proto.Artifact.LIVE]
    assert (output / "metadata.sqlite.copy").is_file()
    assert next_execution(output) == 2


@pytest.mark.survives("an artifact is edited or deleted")
@pytest.mark.parametrize("harm", ["edit", "delete"])
def test_an_artifact_that_was_changed_is_not_live_any_more(output, harm):
    weights = output / "pipeline_root" / "Node" / "model" / "1" / "weights"
    if harm == "edit":
        weights.write_text("2")
    else:
        weights.unlink()
        weights.parent.rmdir()
    (line,) = prepared(output)
    told = "weights was changed" if harm == "edit" else "it was deleted"
    assert line == f"{weights.parent} will be made again: {told}"
    assert states(output) == [proto.Artifact.DELETED]
    assert prepared(output) == []


@pytest.mark.survives("the metadata store is deleted, emptied or replaced")
@pytest.mark.parametrize("harm", ["deleted", "emptied", "new"])
def test_a_store_that_lost_its_history_is_told_and_its_copy_is_kept(output, harm):
    prepared(output)
    path = output / "metadata.sqlite"
    if harm == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if harm == "new":
        open_store(str(path), create=True)
    found = "it is missing" if harm == "deleted" else "it has 0 executions"
    told = rf"is damaged \({found}, and its copy has 1\): replace it by its copy with 'compressor repair {output}'\. "

    for use in (lambda: prepared(output), lambda: keep_copy(str(path))):
        with pytest.raises(CompressorError, match=told):
            use()
    assert ("was missing" if harm == "deleted" else "the damaged store is now") in repair(str(path))

    assert prepared(output) == []
    assert states(output) == [proto.Artifact.LIVE]
    assert next_execution(output) == 2


def test_a_copy_that_cannot_be_used_is_not_asked_for_again(output):
    prepared(output)
    path = output / "metadata.sqlite"
    for store in (path, output / "metadata.sqlite.copy"):
        with sqlite3.connect(store) as database:
            database.execute("UPDATE MLMDEnv SET schema_version = 99")
        database.close()
    assert "the next run starts from scratch" in repair(str(path))
    assert prepared(output) == []


def test_a_new_store_gives_no_number_that_a_folder_has(output):
    (output / "pipeline_root" / "Node" / "model" / "41").mkdir()
    (output / "metadata.sqlite").unlink()
    assert prepared(output) == []
    assert next_execution(output) == 42


@pytest.mark.survives("the metadata store is locked by another process")
def test_a_store_that_another_process_locks_is_told(output, monkeypatch):
    monkeypatch.setattr(metadata_store, "PATIENCE", 0.1)
    path = str(output / "metadata.sqlite")
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        for use in (lambda: prepared(output), lambda: repair(path)):
            with pytest.raises(CompressorError, match="is locked by another program"):
                use()
        other.stdin.close()
    assert prepared(output) == []


@pytest.mark.survives("the metadata store is damaged, and has a copy")
@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_store_is_told_and_a_copy_takes_its_place(output, damage):
    prepared(output)
    path = output / "metadata.sqlite"
    content = path.read_bytes()[: -(2**16)] if damage == "truncated" else b"no database" * 1000
    path.write_bytes(content)

    with pytest.raises(CompressorError, match=rf"is damaged \(.*compressor repair {output}'\. Artifacts"):
        prepared(output)
    assert "replaces it" in repair(str(path))

    assert [damaged.read_bytes() for damaged in output.glob("*.damaged-*")] == [content]
    assert prepared(output) == []
    assert states(output) == [proto.Artifact.LIVE]


@pytest.mark.survives("the metadata store is damaged, and has no copy")
def test_where_there_is_no_copy_a_new_store_begins(output):
    path = output / "metadata.sqlite"
    path.write_bytes(b"no database" * 1000)
    assert "the next run starts from scratch" in repair(str(path))
    assert prepared(output) == []
    assert next_execution(output) == 2
    assert (output / "pipeline_root" / "Node" / "model" / "1" / "weights").read_text() == "1"


@pytest.mark.survives("the metadata store is of another version")
@pytest.mark.parametrize("version", [7, 99])
def test_a_store_of_another_version_is_told(output, version):
    prepared(output)
    path = output / "metadata.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE MLMDEnv SET schema_version = ?", (version,))
    database.close()
    with pytest.raises(
        CompressorError, match=rf"is of version {version}, but the installed ml-metadata supports version \d+: install"
    ):
        prepared(output)
    assert "replaces it" in repair(str(path))
    assert prepared(output) == []


def test_what_is_whole_is_not_repaired(output):
    with pytest.raises(CompressorError, match="there is nothing to repair"):
        repair(str(output / "metadata.sqlite"))
