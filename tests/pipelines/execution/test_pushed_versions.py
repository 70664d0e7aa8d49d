from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as proto

from components.artifacts.pushed_versions import prune, publish, roll_back, staging
from pipelines.execution import checksums
from pipelines.execution.metadata_store import prepare
from pipelines.results.store import open_store


class Output:
    """An output folder whose store knows what was pushed, as the Pusher leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.serving = str(folder / "serving")
        self.store = str(folder / "metadata.sqlite")

    def push(self) -> Path:
        with staging(self.serving) as staged:
            model = Path(staged, "1")
            (model / "variables").mkdir(parents=True)
            (model / "saved_model.pb").write_text("graph")
            (model / "variables" / "data").write_text("weights")
            uri = self.folder / "pipeline_root" / "Pusher" / "pushed_model" / str(1 + len(self.states()))
            shutil.copytree(model, uri)
            version = Path(self.serving, str(publish(str(model), self.serving)))
        checksums.record(str(uri))
        store = open_store(self.store, create=True)
        kind = store.put_artifact_type(proto.ArtifactType(name="PushedModel"))
        artifact = proto.Artifact(type_id=kind, uri=str(uri), state=proto.Artifact.LIVE)
        artifact.custom_properties["pushed_destination"].string_value = str(version)
        store.put_artifacts([artifact])
        return version

    def prepared(self) -> list[str]:
        return prepare(self.store, str(self.folder / "pipeline_root"), str(self.folder / "serving"))

    def states(self) -> list[int]:
        return [artifact.state for artifact in open_store(self.store, create=True).get_artifacts()]


LIVE, DELETED = proto.Artifact.LIVE, proto.Artifact.DELETED


@pytest.fixture
def output(tmp_path) -> Output:
    return Output(tmp_path)


def test_a_version_that_is_served_as_it_was_pushed_is_left_alone(output):
    output.push()
    assert output.prepared() == []
    assert output.states() == [LIVE]


@pytest.mark.survives("a pushed version is edited or deleted")
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (shutil.rmtree, "it was deleted"),
        (lambda version: shutil.rmtree(version.parent), "it was deleted"),
        (lambda version: (version / "saved_model.pb").unlink(), "saved_model.pb is missing"),
        (lambda version: (version / "saved_model.pb").write_text("other"), "saved_model.pb was changed"),
        (lambda version: (version / "variables" / "more").touch(), "variables/more was added"),
    ],
)
def test_one_that_was_harmed_by_hand_is_pushed_anew(output, harm, told):
    version = output.push()
    harm(version)
    assert output.prepared() == [f"{version} will be made again: {told}"]
    assert output.states() == [DELETED]
    assert output.prepared() == []
    left = version.exists()
    again = output.push()
    assert int(again.name) > int(version.name) or not left
    assert output.prepared() == []


def test_the_newest_of_several_that_was_deleted_is_found_missing(output):
    _, newest = output.push(), output.push()
    shutil.rmtree(newest)
    assert output.prepared() == [f"{newest} will be made again: it was deleted"]
    assert output.states() == [LIVE, DELETED]


def test_versions_that_were_rolled_back_or_not_kept_are_not_missed(output):
    for _ in range(3):
        output.push()
    roll_back(output.serving)
    assert output.prepared() == []
    prune(output.serving, keep=1)
    assert output.prepared() == []
    output.push()
    prune(output.serving, keep=1)
    assert output.prepared() == []
    assert output.states() == [LIVE] * 4
