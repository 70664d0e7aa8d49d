from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tfx import types
from tfx.extensions.google_cloud_ai_platform import training_clients
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts.file_names import SEARCH_REPORT_FILE
from components.pruning_search import PruningSearch, vertex_replicas
from components.pruning_search.executor import Executor
from components.pruning_search.vertex_replicas import Replica, start_replicas, take_trials
from compressor_lib.cuts.families import searched_connections
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.options import PruningSearchOptions

# What TFX's custom jobs run (tfx.extensions.google_cloud_ai_platform.training_clients).
COMMAND = [sys.executable, "-m", "tfx.scripts.run_executor", "--executor_class_path"]


@pytest.fixture
def search_inputs(tmp_path, make_examples, images, reference):
    """Inputs, outputs and parameters of a search of six short trials."""
    inputs = {
        "examples": [make_examples({split: [images[split]] for split in ("train", "eval")})],
        "base_model": [reference.model],
        "translators": [standard_artifacts.Model()],
    }
    inputs["translators"][0].uri = str(tmp_path / "bank")
    connections = ["block_2_add->head", "block_5_add->head"]
    fit_translators(reference.base, searched_connections(reference.base, None, connections), []).save(tmp_path / "bank")
    kinds = {
        "model": standard_artifacts.Model,
        "best_hyperparameters": standard_artifacts.HyperParameters,
        "tuner_results": standard_artifacts.TunerResults,
    }
    outputs = {name: [kind()] for name, kind in kinds.items()}
    for name, (artifact,) in outputs.items():
        artifact.uri = str(tmp_path / name / "1")
        Path(artifact.uri).mkdir(parents=True)
    channels = {name: types.Channel(type=type(artifact)) for name, (artifact,) in inputs.items()}
    options = PruningSearchOptions(connections=tuple(connections), tuner="random", max_trials=6, max_epochs=2)
    component = PruningSearch(**channels, options=options)
    return inputs, outputs, component.exec_properties


def cluster(index: int, port: int, pool: str) -> str:
    """``CLUSTER_SPEC`` of a replica, as Vertex gives it."""
    return json.dumps(
        {
            "cluster": {"workerpool0": [f"127.0.0.1:{port}"], "workerpool1": ["other-0:2222", "other-1:2222"]},
            "environment": "cloud",
            "task": {"type": pool, "index": index},
        }
    )


def test_a_replica_reads_its_role_from_the_cluster(monkeypatch):
    monkeypatch.setenv("CLUSTER_SPEC", cluster(0, 2222, "workerpool0"))
    assert Replica.of_this_process() == Replica("workerpool0-0", "127.0.0.1", 2222, is_chief=True)
    monkeypatch.setenv("CLUSTER_SPEC", cluster(1, 2222, "workerpool1"))
    assert Replica.of_this_process() == Replica("workerpool1-1", "127.0.0.1", 2222, is_chief=False)


@pytest.mark.parametrize(
    "spec", [None, "", json.dumps({"cluster": {"chief": ["a:2222"]}, "task": {"type": "chief", "index": 0}})]
)
def test_one_machine_has_no_role(monkeypatch, spec):
    monkeypatch.delenv("CLUSTER_SPEC", raising=False)
    if spec is not None:
        monkeypatch.setenv("CLUSTER_SPEC", spec)
    assert Replica.of_this_process() is None


def test_the_job_runs_the_executor_on_every_replica(monkeypatch, search_inputs):
    inputs, outputs, properties = search_inputs
    job = {"project": "mine", "region": "europe-west1", "job_spec": {"worker_pool_specs": [{"replica_count": 1}, {}]}}
    launched = {}

    class Client:
        """Stands for the service, behind the client that makes TFX's jobs."""

        def __init__(self, region):
            launched["region"] = region

        def create_custom_job(self, parent, custom_job):
            launched.update(parent=parent, **custom_job)
            raise StopIteration

    monkeypatch.setattr(training_clients.gapic, "JobServiceClient", lambda client_options: Client(client_options))
    with pytest.raises(StopIteration):
        start_replicas(inputs, outputs, {**properties, "vertex_job": json.dumps(job)})

    assert launched["parent"] == "projects/mine/locations/europe-west1"
    for pool in launched["job_spec"]["worker_pool_specs"]:
        command = pool["container_spec"]["command"]
        assert command[:5] == ["python", *COMMAND[1:], "components.pruning_search.executor.Executor"]
        there = json.loads(command[command.index("--exec-properties") + 1])
        assert there == {**properties, "vertex_job": ""}


@pytest.mark.slow
def test_replicas_search_together(tmp_path, search_inputs):
    inputs, outputs, properties = search_inputs
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *COMMAND, "components.pruning_search.executor.Executor",
        "--inputs", artifact_utils.jsonify_artifact_dict(inputs),
        "--outputs", artifact_utils.jsonify_artifact_dict(outputs),
        "--exec-properties", json.dumps(properties),
    ]  # fmt: skip
    parts = [("workerpool0", 0), ("workerpool1", 0)]
    logs = [tmp_path / f"{pool}.log" for pool, _ in parts]
    processes = [
        subprocess.Popen(
            command, env={**os.environ, "CLUSTER_SPEC": cluster(index, port, pool)},
            stdout=log.open("w"), stderr=subprocess.STDOUT,
        )
        for (pool, index), log in zip(parts, logs, strict=True)
    ]  # fmt: skip
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0], [log.read_text()[-2000:] for log in logs]
    finally:
        for process in processes:
            process.kill()
    report = json.loads(Path(outputs["tuner_results"][0].uri, SEARCH_REPORT_FILE).read_text())
    assert len(report) == 6
    assert "there are no more trials" in logs[1].read_text()
    assert len(list(tmp_path.rglob(".trials/*/done"))) == 1


def test_a_replica_without_chief_ends_with_a_message(tmp_path, monkeypatch):
    monkeypatch.setattr(vertex_replicas, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(CompressorError, match=r"the chief, somewhere, has not written .*job\.json"):
        take_trials(Replica("workerpool1-0", "somewhere", 2222, is_chief=False), tmp_path)


def test_the_executor_leaves_the_work_to_the_job(monkeypatch, search_inputs):
    inputs, outputs, properties = search_inputs
    started = []
    monkeypatch.setattr("components.pruning_search.executor.start_replicas", lambda *given: started.append(given))
    given = {**properties, "vertex_job": "{}"}
    Executor(Executor.Context()).Do(inputs, outputs, given)
    assert started == [(inputs, outputs, given)]
