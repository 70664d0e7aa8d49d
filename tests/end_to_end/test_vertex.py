"""The compiled Vertex package, from images to a pushed model, each container command as Vertex AI runs it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from kubeflow_backend import Done
from kubeflow_cluster import CONFIG, write_images
from vertex_service import VertexService

from compressor_lib.networks.heads import attach_head
from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

pytestmark = pytest.mark.slow

REMOTE = (
    "output=gs://bucket/root", "data.path=gs://bucket/images", "push.directory=gs://bucket/serving", "volumes=[]",
    "backbone={model: 'gs://bucket/model.keras', input_size: 32}",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory, small_backbone) -> VertexService:
    folder = tmp_path_factory.mktemp("storage")
    write_images(folder / "bucket" / "images" / "span-1")
    attach_head(small_backbone(), 4).save(folder / "bucket" / "model.keras")
    service = VertexService(folder)
    service.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return service


@pytest.fixture(scope="module")
def done(service) -> dict[str, Done]:
    file = service.folder / "config.yaml"
    file.write_text(CONFIG)
    package = compile_package(load_config(file, REMOTE), "vertex", image="image", code_version="0")
    return service.run(package, {"max_trials": 1, "max_drop": 0.9})


def test_pushed_model_predicts(service, done):
    (model,) = (service.folder / "bucket" / "serving").glob("[0-9]*")
    served = tf.saved_model.load(str(model)).signatures["serving_default"]
    (image, *_) = sorted((service.folder / "bucket" / "images").rglob("*.*"))
    assert served(image_bytes=tf.constant([image.read_bytes()]))["probabilities"].shape == (1, 3)


def test_artifacts_are_in_cloud_storage_with_their_types(done):
    for task in done.values():
        for artifact in task.outputs.values():
            assert artifact["uri"].startswith("gs://bucket/root/pipeline_root/")
            assert "title: tfx." in artifact["type"].get("instanceSchema", "title: tfx.")


def test_the_report_is_a_page_in_cloud_storage(service, done):
    report = done["Report"].outputs["report"]
    assert report["type"]["schemaTitle"] == "system.HTML"
    page = service.folder / report["uri"].removeprefix("gs://")
    assert page.name == "report.html"
    assert "on-kubeflow" in page.read_text()
    assert re.search(r"^  max_trials: 1$", page.read_text(), re.MULTILINE)  # the configuration says 2
    assert re.search(r"^  max_drop: 0.9$", page.read_text(), re.MULTILINE)


def test_span_comes_from_the_driver(done):
    assert done["ImageExampleGen"].outputs["examples"]["metadata"]["custom:span"] == 1.0


def test_runtime_parameters_reach_their_nodes(service, done):
    folder = done["PruningSearch"].outputs["tuner_results"]["uri"].replace("gs://", f"{service.folder}/")
    assert len(json.loads(Path(folder, "search_report.json").read_text())) == 1  # the config says 2 trials
    assert done["Evaluator"].outputs["blessing"]["metadata"]["blessed"] == 1
