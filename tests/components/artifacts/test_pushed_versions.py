from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import disk_store
import pytest
import tensorflow as tf
from limits import TOLD, files_of_at_most
from tfx.dsl.io import fileio, filesystem_registry
from tfx.dsl.io.plugins.local import LocalFilesystem
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

from components.artifacts import pushed_versions
from components.artifacts.model_files import files_sha256, model_files
from components.artifacts.pushed_versions import (
    family_in,
    newest_version,
    newest_versions,
    prune,
    publish,
    roll_back,
    staging,
    versions,
)
from compressor_lib.errors import CompressorError


class Memory(TensorflowFilesystem):
    """TensorFlow's file system in memory: like an object store, it has a scheme."""

    SUPPORTED_SCHEMES = ["ram://"]  # noqa: RUF012


@pytest.fixture(params=["local", "remote"])
def directory(request, tmp_path) -> str:
    """A push directory, on this machine or in a store."""
    if request.param == "local":
        return str(tmp_path / "serving")
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Memory, priority=10)
    return f"ram://{tmp_path.name}/serving"


def push(directory: str, content: str = "graph") -> int:
    with staging(directory) as folder:
        prepared = Path(folder, "1")
        (prepared / "variables").mkdir(parents=True)
        (prepared / "saved_model.pb").write_text(content)
        (prepared / "variables" / "data").write_text(f"of {content}")
        return publish(str(prepared), directory)


def names(directory: str) -> list[str]:
    return sorted(name.rstrip("/") for name in fileio.listdir(directory))


def test_new_directory_has_no_versions(directory):
    assert versions(directory) == []
    assert newest_version(directory) == ""


def test_version_numbers_always_increase(directory, monkeypatch):
    first = push(directory)
    assert abs(first - time.time()) < 60
    second = push(directory)
    monkeypatch.setattr(time, "time", lambda: first - 3600.0)
    assert first < second < push(directory)
    assert names(directory) == [str(version) for version in versions(directory)]


def test_published_version_equals_the_prepared_folder(directory):
    version = push(directory, "a graph")
    with fileio.open(os.path.join(directory, str(version), "variables", "data")) as file:
        assert file.read() == "of a graph"


def test_only_complete_versions_count(directory):
    version = push(directory)
    tf.io.gfile.makedirs(os.path.join(directory, "99999999999"))
    tf.io.gfile.makedirs(os.path.join(directory, "draft"))
    assert newest_version(directory) == str(version)
    assert push(directory) == 99999999999 + 1  # nor is a number used twice


def test_newest_versions_are_kept(directory):
    pushed = [push(directory) for _ in range(4)]
    assert prune(directory, keep=2) == pushed[:2]
    assert versions(directory) == pushed[2:]
    assert prune(directory, keep=2) == []


def test_rollback_serves_the_previous_version(directory):
    first, second, third = (push(directory, f"graph {number}") for number in range(3))
    assert roll_back(directory) == (third, second)
    assert newest_version(directory) == str(second)
    assert roll_back(directory) == (second, first)
    with pytest.raises(CompressorError, match=f"version {first} is the only one"):
        roll_back(directory)
    assert push(directory) > third
    prune(directory, keep=1)
    assert len(names(directory)) == 1


def test_rollback_without_versions_is_rejected(directory):
    with pytest.raises(CompressorError, match="there is no model in"):
        roll_back(directory)


@pytest.mark.survives("a push fails because the disk is full")
def test_failed_push_leaves_nothing_behind(tmp_path):
    directory = str(tmp_path / "serving")
    version = push(directory)
    with files_of_at_most(100), pytest.raises(OSError, match=TOLD):
        push(directory, "a graph" * 1000)
    assert names(directory) == [str(version)]


@pytest.mark.survives("an upload fails because the store is full")
@pytest.mark.parametrize("size", [4, 100, 1000], ids=["at its claim", "at its weights", "at its graph"])
def test_failed_upload_leaves_nothing_behind(tmp_path, size):
    disk_store.register()
    directory = f"{disk_store.SCHEME}{tmp_path}/serving"
    version = push(directory)
    prepared = tmp_path / "prepared"
    (prepared / "variables").mkdir(parents=True)
    (prepared / "saved_model.pb").write_text("a graph" * 1000)
    (prepared / "variables" / "data").write_text("weights" * 50)
    with files_of_at_most(size), pytest.raises(OSError, match=TOLD):
        publish(str(prepared), directory)
    assert names(directory) == [str(version)]


CHANGES = {"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
"""What a process can change files by, as Python's audit events name it."""


def killed_before(number: int, directory: str) -> bool:
    """Pushes in a process that is killed before its ``number``-th change of a file; says whether it came to that."""
    if not (child := os.fork()):
        # TensorFlow's own changes make no events.
        filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(LocalFilesystem, priority=-1)
        changes = itertools.count()

        def die(event: str, arguments: object) -> None:
            if event in CHANGES and next(changes) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            push(directory, "a new graph")
            prune(directory, keep=1)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def whole(directory: str, old: int) -> list[int]:
    """The complete versions, which hold all that belongs to them."""
    there = versions(directory)
    for version in there:
        graph = "graph" if version == old else "a new graph"
        folder = Path(directory.removeprefix(disk_store.SCHEME), str(version))
        found = {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}
        assert found == {"saved_model.pb": graph, "data": f"of {graph}"}
    return there


@pytest.mark.survives("a push is killed before each of its file changes")
@pytest.mark.slow
def test_killed_push_leaves_only_complete_versions(tmp_path):
    seen = set()
    for number in itertools.count():
        directory = tmp_path / str(number)
        old = push(str(directory))
        killed = killed_before(number, str(directory))
        there = whole(str(directory), old)
        # What serving takes, which looks at numbers alone, is one of them.
        assert max(int(path.name) for path in directory.glob("[0-9]*")) == there[-1]
        seen.add(("old" if old in there else "", "new" if there[-1] != old else ""))
        if not killed:
            break
    assert seen == {("old", ""), ("old", "new"), ("", "new")}


@pytest.mark.survives("an upload is killed before each of its file changes")
@pytest.mark.slow
def test_killed_upload_is_deleted_by_a_later_push(tmp_path, monkeypatch):
    disk_store.register()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = 0
    for number in itertools.count():
        folder = tmp_path / str(number)
        directory = f"{disk_store.SCHEME}{folder}"
        old = push(directory)
        killed = killed_before(number, directory)
        broken += max(int(path.name) for path in folder.iterdir()) != whole(directory, old)[-1]

        newest = push(directory, "a new graph")
        prune(directory, keep=9)
        assert max(int(path.name) for path in folder.iterdir()) == newest  # serving takes what is whole again
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))
        prune(directory, keep=9)
        left = [int(path.name) for path in folder.iterdir() if any(path.rglob("*.*")) or any(path.rglob("data"))]
        assert sorted(left) == whole(directory, old)
        assert left
        if not killed:
            break
    assert broken  # the harm was done


@pytest.mark.survives("several pushers take the same number")
def test_pushers_of_one_second_do_not_mix_their_files(directory, monkeypatch):
    push(directory)
    graphs = [f"graph {number}" for number in range(8)]
    begun, used_numbers = threading.Barrier(len(graphs)), pushed_versions._used_numbers
    waited = threading.local()

    def used_at_once(directory: str) -> list[int]:
        found = used_numbers(directory)
        if not hasattr(waited, "for_all"):
            waited.for_all = begun.wait(10)
        return found

    monkeypatch.setattr(pushed_versions, "_used_numbers", used_at_once)
    with ThreadPoolExecutor(len(graphs)) as pushers:
        pushed = dict(zip(pushers.map(lambda graph: push(directory, graph), graphs), graphs, strict=True))
    assert sorted(pushed) == versions(directory)[1:]
    for version, graph in pushed.items():
        folder = f"{directory}/{version}"
        assert sorted(model_files(folder)) == ["saved_model.pb", "variables/data"]
        for name, content in (("saved_model.pb", graph), ("variables/data", f"of {graph}")):
            with fileio.open(f"{folder}/{name}") as file:
                assert file.read() == content


def test_remains_of_a_killed_push_are_deleted_after_a_day(tmp_path):
    directory = str(tmp_path)
    push(directory)
    new, old = (tmp_path / f".staging-{name}" for name in ("new", "old"))
    for folder in (new, old):
        (folder / "1").mkdir(parents=True)
    os.utime(old, (0, 0))
    prune(directory, keep=1)
    assert new.is_dir()
    assert not old.exists()


@pytest.mark.survives("the serving folder is not writable")
def test_read_only_directory_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CompressorError, match=r"cannot be written to .*set push\.directory"),
        staging(str(tmp_path / "file" / "serving")),
    ):
        pass


def test_hash_covers_names_and_contents(tmp_path):
    def folder(name: str, files: dict[str, str]) -> str:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(content)
        return files_sha256(str(tmp_path / name))

    one = folder("one", {"a": "x", "b/c": "y"})
    (tmp_path / "one" / "empty").mkdir()
    assert files_sha256(str(tmp_path / "one")) == one == folder("two", {"b/c": "y", "a": "x"})
    assert len({one, folder("three", {"a": "x", "b/c": "z"}), folder("four", {"a": "x", "b/d": "y"})}) == 3


def test_the_models_of_a_family_are_folders_with_versions(directory):
    assert newest_versions(directory) == ""
    tiny, small = (push(os.path.join(directory, name)) for name in ("tiny", "small"))
    fileio.makedirs(os.path.join(directory, "empty"))
    assert versions(directory) == []
    assert family_in(directory) == ["small", "tiny"]
    assert newest_versions(directory) == f"small/{small} tiny/{tiny}"
    own = push(directory)
    assert newest_versions(directory) == f"{own} small/{small} tiny/{tiny}"


def test_a_rollback_of_a_family_asks_which_model(directory):
    push(os.path.join(directory, "tiny"))
    with pytest.raises(CompressorError, match="has the models of a family, tiny: choose one with --model"):
        roll_back(directory)
