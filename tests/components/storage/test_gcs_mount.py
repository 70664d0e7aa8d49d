from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.storage import gcs_mount
from components.storage.gcs_mount import MOUNT, fetched, mounted, mounted_artifacts, stored


def test_cloud_storage_is_mounted(monkeypatch):
    assert mounted("gs://bucket/a/b") == "/gcs/bucket/a/b"
    monkeypatch.setenv(MOUNT, "/elsewhere")
    assert mounted("gs://bucket/a/b") == "/elsewhere/bucket/a/b"
    assert mounted("/data/a") == "/data/a"


@pytest.mark.parametrize("fails", [False, True])
def test_artifacts_have_their_uris_again(fails):
    near, far = standard_artifacts.Model(), standard_artifacts.Model()
    near.uri, far.uri = "/data/model", "gs://bucket/model"
    with contextlib.suppress(KeyError), mounted_artifacts({"a": [near]}, {"b": [far]}):
        assert (near.uri, far.uri) == ("/data/model", "/gcs/bucket/model")
        if fails:
            raise KeyError
    assert (near.uri, far.uri) == ("/data/model", "gs://bucket/model")


def test_folders_of_this_machine_are_used_as_they_are(tmp_path):
    with fetched(str(tmp_path), "a/b") as folder:
        assert folder == str(tmp_path)
    with stored(str(tmp_path)) as folder:
        assert folder == str(tmp_path)


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A folder that stands for ``gs://bucket``, behind the functions of TFX's fileio that are used."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()

    def real(path: str) -> str:
        return path.replace("gs://bucket", str(bucket))

    def copy(source: str, target: str, overwrite: bool = False) -> None:
        assert overwrite or not Path(real(target)).exists()
        shutil.copyfile(real(source), real(target))

    monkeypatch.setattr(gcs_mount.fileio, "copy", copy)
    monkeypatch.setattr(gcs_mount.fileio, "makedirs", lambda path: Path(real(path)).mkdir(parents=True, exist_ok=True))
    return bucket


def test_files_of_a_store_are_fetched_and_gone_afterwards(bucket):
    (bucket / "model" / "assets.extra").mkdir(parents=True)
    (bucket / "model" / "assets.extra" / "model.keras").write_text("weights")
    (bucket / "model" / "other").write_text("not wanted")
    with fetched("gs://bucket/model", "assets.extra/model.keras") as folder:
        found = {str(path.relative_to(folder)): path.read_text() for path in Path(folder).rglob("*") if path.is_file()}
    assert found == {"assets.extra/model.keras": "weights"}
    assert not Path(folder).exists()


def test_files_are_stored_at_the_end_over_those_of_an_earlier_try(bucket):
    (bucket / "bank").mkdir()
    (bucket / "bank" / "manifest.json").write_text("old")
    with stored("gs://bucket/bank") as folder:
        Path(folder, "manifest.json").write_text("new")
        Path(folder, "translators.npz").write_text("arrays")
        assert (bucket / "bank" / "manifest.json").read_text() == "old"
    assert {path.name: path.read_text() for path in (bucket / "bank").iterdir()} == {
        "manifest.json": "new", "translators.npz": "arrays",
    }  # fmt: skip
    assert not Path(folder).exists()


@pytest.mark.survives("a node fails whose outputs go to an object store")
def test_nothing_is_stored_after_a_failure(bucket):
    with contextlib.suppress(KeyError), stored("gs://bucket/bank") as folder:
        Path(folder, "manifest.json").write_text("new")
        raise KeyError
    assert not (bucket / "bank").exists()
