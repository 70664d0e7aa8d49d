"""The Vertex package with jobs and an endpoint, down to what TFX's extension would ask Vertex AI for."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.types import CustomJob
from tfx.components.trainer import executor as in_process
from tfx.components.util import udf_utils
from tfx.extensions.google_cloud_ai_platform import prediction_clients, training_clients
from tfx.scripts import run_executor
from tfx.types import standard_artifacts
from tfx.utils import import_utils

from components.artifacts.class_list import read_class_list
from components.artifacts.served_classes import Endpoint, endpoint_of
from components.served_classes import component as served_classes
from compressor_lib.errors import CompressorError
from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package
from pipelines.pipeline import create_pipeline

EXAMPLE = Path(__file__).parents[3] / "examples" / "pictures.yaml"
IMAGE = "registry/auto-compressor@sha256:0123"
REMOTE = ("output=gs://bucket/root", "data.path=gs://bucket/images")
PROJECT = "project: mine, region: europe-west1, service_account: trainer@mine"
TRAINING = "training: {nodes: [retrain], machine_type: n1-standard-8, accelerator: NVIDIA_TESLA_T4, accelerators: 2}"
SEARCH = "search: {machine_type: n1-standard-4, replicas: 4}"
ENDPOINT = "endpoint: {display_name: cats, machine_type: n1-standard-2, max_replicas: 3, image: registry/serving}"
EXTENSION = "tfx.extensions.google_cloud_ai_platform"


def config(*sections: str):
    return load_config(EXAMPLE, [*REMOTE, f"vertex={{{', '.join((PROJECT, *sections))}}}"])


@pytest.fixture(scope="module")
def spec() -> dict:
    package = compile_package(config(TRAINING, SEARCH, ENDPOINT), "vertex", image=IMAGE, code_version="0")
    return json.loads(package)["pipelineSpec"]


def executor_of(spec: dict, node: str) -> str:
    executor = spec["deploymentSpec"]["executors"][spec["components"][node]["executorLabel"]]
    arguments = executor["container"]["args"]
    return arguments[arguments.index("--executor_class_path") + 1]


def parameters(spec: dict, node: str) -> dict:
    """Constant execution parameters of a node."""
    given = spec["root"]["dag"]["tasks"][node]["inputs"]["parameters"]
    return {name: value["runtimeValue"]["constant"] for name, value in given.items() if "runtimeValue" in value}


def pool(machine: dict, count: int) -> dict:
    return {"machine_spec": machine, "replica_count": count, "container_spec": {"image_uri": IMAGE}}


def test_a_trainer_trains_in_a_job_in_the_packages_image(spec):
    assert executor_of(spec, "retrain") == f"{EXTENSION}.trainer.executor.GenericExecutor"
    assert executor_of(spec, "reference") == "tfx.components.trainer.executor.GenericExecutor"
    custom_config = json.loads(parameters(spec, "retrain")["custom_config"])
    assert custom_config["role"] == "compressed"
    assert custom_config["ai_platform_enable_vertex"] is True
    assert custom_config["ai_platform_vertex_region"] == "europe-west1"
    machine = {
        "machine_type": "n1-standard-8", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2,
    }  # fmt: skip
    assert custom_config["ai_platform_training_args"] == {
        "project": "mine",
        "display_name": "pictures-retrain",
        "job_spec": {"worker_pool_specs": [pool(machine, 1)], "service_account": "trainer@mine"},
    }
    assert "ai_platform_training_args" not in json.loads(parameters(spec, "reference")["custom_config"])


def test_replicas_search_in_the_packages_image(spec):
    assert executor_of(spec, "PruningSearch") == "components.pruning_search.executor.Executor"
    machine = {"machine_type": "n1-standard-4"}
    assert json.loads(parameters(spec, "PruningSearch")["vertex_job"]) == {
        "project": "mine",
        "region": "europe-west1",
        "display_name": "pictures-search",
        "job_spec": {"worker_pool_specs": [pool(machine, 1), pool(machine, 3)], "service_account": "trainer@mine"},
    }


def test_one_replica_is_one_pool():
    search = "search: {machine_type: n1-standard-4}"
    spec = json.loads(compile_package(config(search), "vertex", image=IMAGE, code_version="0"))["pipelineSpec"]
    (only,) = json.loads(parameters(spec, "PruningSearch")["vertex_job"])["job_spec"]["worker_pool_specs"]
    assert only["replica_count"] == 1


def test_an_endpoint_takes_the_place_of_the_directory(spec):
    assert executor_of(spec, "Pusher") == "components.pusher.executor.EndpointExecutor"
    given = parameters(spec, "Pusher")
    assert "push_directory" not in spec["root"]["inputDefinitions"]["parameters"]
    assert not {"PreviousRun", "Handover"} & set(spec["root"]["dag"]["tasks"])
    assert json.loads(given["custom_config"]) == {
        "removed_classes": [],
        "ai_platform_enable_vertex": True,
        "ai_platform_vertex_region": "europe-west1",
        "ai_platform_vertex_container_image_uri": "registry/serving",
        "ai_platform_serving_args": {
            "project": "mine", "endpoint_name": "cats", "machine_type": "n1-standard-2",
            "min_replica_count": 1, "max_replica_count": 3, "service_account": "trainer@mine",
        },
    }  # fmt: skip


def test_classes_keep_the_places_that_the_endpoint_serves(monkeypatch, spec, tmp_path):
    tasks = spec["root"]["dag"]["tasks"]
    for node in ("Transform", "ExampleValidator"):
        known = tasks[node]["inputs"]["artifacts"]["previous_classes"]["taskOutputArtifact"]
        assert known == {"producerTask": "ServedClasses", "outputArtifactKey": "classes"}
    asked = []
    monkeypatch.setattr(served_classes, "served_classes", lambda endpoint: asked.append(endpoint) or ["dog", "cat"])
    classes = standard_artifacts.Schema()
    classes.uri = str(tmp_path)
    node = import_utils.import_class_by_path(executor_of(spec, "ServedClasses"))()
    inputs = {"current": [standard_artifacts.ExampleStatistics()]}
    node.Do(inputs, {"classes": [classes]}, parameters(spec, "ServedClasses"))
    assert asked == [Endpoint("mine", "europe-west1", "cats")]
    assert asked == [endpoint_of(parameters(spec, "Pusher")["custom_config"])]
    assert read_class_list(classes.uri) == ["dog", "cat"]


def test_classes_are_removed_there_too():
    given = load_config(EXAMPLE, [*REMOTE, f"vertex={{{PROJECT}, {ENDPOINT}}}", "data.removed_classes=[eel]"])
    spec = json.loads(compile_package(given, "vertex", image=IMAGE, code_version="0"))["pipelineSpec"]
    assert json.loads(parameters(spec, "Pusher")["custom_config"])["removed_classes"] == ["eel"]
    for node in ("Transform", "ExampleValidator"):
        assert json.loads(parameters(spec, node)["removed_classes"]) == ["eel"]


def test_it_needs_a_packages_image():
    with pytest.raises(CompressorError, match="section vertex is for Vertex AI only"):
        create_pipeline(config(SEARCH), code_version="0")


@pytest.fixture
def channels(tmp_path):
    """Inputs and outputs of the node ``retrain``."""
    kinds = {
        "examples": standard_artifacts.Examples, "transform_graph": standard_artifacts.TransformGraph,
        "base_model": standard_artifacts.Model, "model": standard_artifacts.Model,
        "model_run": standard_artifacts.ModelRun,
    }  # fmt: skip
    made = {}
    for name, kind in kinds.items():
        artifact = kind()
        artifact.uri = f"gs://bucket/{name}"
        made[name] = [artifact]
    made["examples"][0].split_names = '["train", "eval"]'
    return {name: made.pop(name) for name in ("examples", "transform_graph", "base_model")}, made


def test_the_job_runs_the_modules_run_fn(monkeypatch, spec, channels):
    launched = {}

    class Client:
        """Stands for the service."""

        def __init__(self, client_options):
            launched["endpoint"] = client_options["api_endpoint"]

        def create_custom_job(self, parent, custom_job):
            launched.update(parent=parent, job=CustomJob(custom_job))  # refuses what is no CustomJob
            raise StopIteration

    monkeypatch.setattr(training_clients.gapic, "JobServiceClient", Client)
    executor = import_utils.import_class_by_path(executor_of(spec, "retrain"))()
    with pytest.raises(StopIteration):
        executor.Do(*channels, parameters(spec, "retrain"))

    assert launched["endpoint"] == "europe-west1-aiplatform.googleapis.com"
    assert launched["parent"] == "projects/mine/locations/europe-west1"
    (only,) = launched["job"].job_spec.worker_pool_specs
    assert only.container_spec.image_uri == IMAGE
    assert only.machine_spec.accelerator_type.name == "NVIDIA_TESLA_T4"
    assert list(only.container_spec.command)[:3] == ["python", "-m", "tfx.scripts.run_executor"]
    there, _ = run_executor.parse_flags(list(only.container_spec.command)[2:])
    trainer = import_utils.import_class_by_path(there.executor_class_path)
    assert trainer is in_process.GenericExecutor
    properties = json.loads(there.exec_properties)
    assert udf_utils.get_fn(properties, "run_fn").__module__ == "pipelines.modules"
    assert json.loads(properties["custom_config"])["role"] == "compressed"


def test_the_pusher_asks_the_sdk_for_what_it_takes(monkeypatch, spec):
    asked = {}

    class Sdk:
        """Stands for ``google.cloud.aiplatform``."""

        class Endpoint:
            resource_name = "endpoints/1"

            @staticmethod
            def list(filter):
                return [Sdk.Endpoint()]

        class Model:
            resource_name = "models/1"

            @staticmethod
            def upload(**given):
                asked["upload"] = given
                return Sdk.Model()

            def wait(self):
                pass

            def deploy(self, **given):
                asked["deploy"] = inspect.signature(aiplatform.Model.deploy).bind(self, **given).arguments

        @staticmethod
        def init(**given):
            asked["init"] = given

    monkeypatch.setattr(prediction_clients, "aiplatform", Sdk)
    custom_config = json.loads(parameters(spec, "Pusher")["custom_config"])
    prediction_clients.VertexPredictionClient().deploy_model(
        serving_path="gs://bucket/pushed", model_version_name="v1", labels={},
        ai_platform_serving_args=custom_config["ai_platform_serving_args"],
        serving_container_image_uri=custom_config["ai_platform_vertex_container_image_uri"],
        endpoint_region=custom_config["ai_platform_vertex_region"],
    )  # fmt: skip
    assert asked["init"] == {"project": "mine", "location": "europe-west1"}
    assert asked["upload"]["serving_container_image_uri"] == "registry/serving"
    assert (asked["deploy"]["machine_type"], asked["deploy"]["max_replica_count"]) == ("n1-standard-2", 3)
    assert asked["deploy"]["traffic_percentage"] == 100
