import os
import shutil

import pytest

from pipelines.execution import checksums
from pipelines.execution.checksums import changed, record


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "Node" / "model" / "7"
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "data").write_bytes(b"weights")
    (folder / "empty").mkdir()
    record(str(folder))
    return folder


def test_what_is_as_it_was_is_not_read_again(artifact, monkeypatch):
    monkeypatch.setattr(checksums, "_sha256", pytest.fail)
    assert changed(str(artifact)) is None


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "variables" / "data").write_bytes(b"other"), "variables/data was changed"),
        (lambda folder: (folder / "variables" / "data").write_bytes(b"WEIGHTS"), "variables/data was changed"),
        (lambda folder: (folder / "variables" / "data").unlink(), "variables/data is missing"),
        (lambda folder: shutil.rmtree(folder), "variables/data is missing"),
        (lambda folder: (folder / "more").touch(), "more was added"),
        (lambda folder: (folder.parent / ".7.sha256.json").write_text("{"), "its checksums are damaged"),
    ],
)
def test_harm_is_found(artifact, harm, told):
    harm(artifact)
    assert changed(str(artifact)) == told


def test_a_copy_with_other_times_is_the_same_and_read_once(artifact, monkeypatch):
    os.utime(artifact / "variables" / "data", (1, 1))
    assert changed(str(artifact)) is None
    monkeypatch.setattr(checksums, "_sha256", pytest.fail)
    assert changed(str(artifact)) is None


def test_an_artifact_may_be_a_single_file(tmp_path):
    (tmp_path / "value").write_text("1")
    record(str(tmp_path / "value"))
    assert changed(str(tmp_path / "value")) is None
    (tmp_path / "value").write_text("22")
    assert changed(str(tmp_path / "value")) == f"{tmp_path}/value was changed"


def test_what_is_elsewhere_or_was_never_recorded_is_taken_as_it_is(tmp_path):
    record("gs://bucket/model/1")
    assert changed("gs://bucket/model/1") is None
    (tmp_path / "3").mkdir()
    assert changed(str(tmp_path / "3")) is None
