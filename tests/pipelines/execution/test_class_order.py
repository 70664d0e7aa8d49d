"""What is cached must not bring back an order of classes that is no longer the pushed model's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as proto
from s3_server import S3Server
from tfx.dsl.io import fileio

from components.artifacts.class_list import write_class_list
from compressor_lib.errors import CompressorError
from pipelines.execution.metadata_store import prepare
from pipelines.results.store import open_store


class Output:
    """An output folder of runs that PreviousRun and Transform had a part in."""

    def __init__(self, folder: Path, serving: str) -> None:
        self.folder = folder
        self.serving = serving
        self.store = str(folder / "metadata.sqlite")
        self.runs = 0

    def run(self, known: list[str], made: list[str], *, removed: str = "[]", push: bool = True) -> int:
        """A run that found some classes pushed, and trained with some; returns the id of what it found."""
        self.runs += 1
        store = open_store(self.store, create=True)
        found = self._artifact(store, "Schema", known)
        graph = self._artifact(store, "TransformGraph", made)
        self._execution(store, "PreviousRun", [], found, push_directory=self.serving)
        self._execution(store, "Transform", [("previous_classes", found)], graph, removed_classes=removed)
        if push:
            version = f"{self.serving}/{self.runs}"
            write_class_list(f"{version}/assets.extra", made)
            with fileio.open(f"{version}/saved_model.pb", "w") as file:
                file.write("a model")
        return found

    def forgotten(self) -> list[int]:
        """What is not taken from the cache in the next run."""
        assert prepare(self.store, str(self.folder / "pipeline_root"), self.serving) == []
        return [one.id for one in open_store(self.store).get_artifacts() if one.state == proto.Artifact.DELETED]

    def _artifact(self, store, kind: str, names: list[str]) -> int:
        uri = self.folder / "pipeline_root" / kind / str(self.runs)
        write_class_list(str(uri), names)
        type_id = store.put_artifact_type(proto.ArtifactType(name=kind))
        (made,) = store.put_artifacts([proto.Artifact(type_id=type_id, uri=str(uri), state=proto.Artifact.LIVE)])
        return made

    def _execution(self, store, kind: str, inputs: list[tuple[str, int]], made: int, **properties: str) -> None:
        execution = proto.Execution(type_id=store.put_execution_type(proto.ExecutionType(name=kind)))
        for name, value in properties.items():
            execution.custom_properties[name].string_value = value
        events = [proto.Event(artifact_id=made, type=proto.Event.OUTPUT)]
        for key, artifact in inputs:
            event = proto.Event(artifact_id=artifact, type=proto.Event.INPUT)
            event.path.steps.add(key=key)
            events.append(event)
        store.put_execution(execution, [(None, event) for event in events], [])


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server("models")
    yield server
    server.close()


@pytest.fixture(params=["local", "s3"])
def output(request, tmp_path) -> Iterator[Output]:
    """One whose models go to a folder, and one whose models go to a store."""
    if request.param == "local":
        yield Output(tmp_path, str(tmp_path / "serving"))
        return
    server = request.getfixturevalue("server")
    with server.named():
        yield Output(tmp_path, "s3://models/serving")
        server.clear("models")


def test_a_run_again_is_cached_whether_it_was_pushed_or_refused(output):
    output.run([], ["cat", "dog"])
    output.run(["cat", "dog"], ["cat", "dog"])
    output.run(["cat", "dog"], ["cat", "dog", "eel"], push=False)
    assert output.forgotten() == []


def test_a_refused_run_without_a_removed_class_is_cached(output):
    output.run([], ["cat", "dog", "eel"])
    output.run(["cat", "dog", "eel"], ["cat", "eel"], removed='["dog"]', push=False)
    assert output.forgotten() == []


def test_old_data_are_not_trained_on_with_the_order_that_they_once_had(output):
    first = output.run([], ["cat", "dog"])
    output.run(["cat", "dog"], ["cat", "dog", "aardvark"])
    assert output.forgotten() == [first]


def test_a_refused_run_whose_new_class_has_another_place_by_now_is_not_taken_up(output):
    output.run([], ["cat", "dog"])
    refused = output.run(["cat", "dog"], ["cat", "dog", "eel"], push=False)
    first = 1
    output.run(["cat", "dog"], ["cat", "dog", "aardvark"])
    assert output.forgotten() == [first, refused]


def test_a_store_that_cannot_be_reached_is_told_before_the_run(server, tmp_path, monkeypatch):
    with server.named():
        output = Output(tmp_path, "s3://models/serving")
        output.run([], ["cat", "dog"])
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setitem(server.environment, "AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where nothing listens
    with (
        server.named(),
        pytest.raises(CompressorError, match="store of 's3://models/serving.*' cannot be reached"),
    ):
        output.forgotten()
    server.clear("models")


def test_a_store_that_the_run_does_not_push_to_is_not_asked(tmp_path):
    output = Output(tmp_path, "s3://models/serving")
    output.run([], ["cat", "dog"], push=False)
    output.serving = str(tmp_path / "serving")
    assert output.forgotten() == []
