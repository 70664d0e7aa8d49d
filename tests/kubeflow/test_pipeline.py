"""The whole pipeline on Kubeflow's own driver and launcher, with the project in the image: from images to a push."""

from __future__ import annotations

import json
import re

import pytest
import tensorflow as tf
from kubeflow_cluster import Cluster as Volume
from kubeflow_rig.workflow import OMITTED, SKIPPED, SUCCEEDED, Outcome

from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

pytestmark = [pytest.mark.kubeflow, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def volume(cluster, small_backbone) -> Volume:
    """A claim with images, a model and a configuration, which pods see where this process does."""
    return Volume(cluster.pods.claim("work"), small_backbone, "2.17")


@pytest.fixture(scope="module")
def package(volume) -> str:
    config = load_config(volume.folder / "config.yaml")
    return compile_package(config, "kubeflow", image="image", code_version="0")


@pytest.fixture(scope="module")
def done(cluster, package) -> Outcome:
    outcome = cluster.run(package, {"only_new_data": 1})
    assert outcome.phase == SUCCEEDED, outcome.log
    return outcome


def uri_of(outcome: Outcome, node: str, output: str) -> str:
    """Where an output is, as the driver laid it out."""
    pod = outcome.pod(node)
    given = json.loads(pod.main["command"][pod.main["command"].index("--executor_input") + 1])
    return given["outputs"]["artifacts"][output]["artifacts"][0]["uri"]


def test_a_model_is_pushed_that_answers(volume, done):
    (model,) = volume.pushed
    served = tf.saved_model.load(str(model)).signatures["serving_default"]
    (image, *_) = sorted((volume.folder / "images").rglob("*.*"))
    answer = served(image_bytes=tf.constant([image.read_bytes()]))
    assert answer["probabilities"].shape == (1, 3)


def test_each_node_ran_once(done):
    assert len({pod.node for pod in done.pods}) == len(done.pods)
    assert done.nodes(SUCCEEDED) >= {"ImageExampleGen", "retrain", "Evaluator", "Pusher", "Report", "Handover"}


def test_the_report_is_a_page_in_the_object_store(cluster, done):
    folder = uri_of(done, "Report", "report").removeprefix("minio://mlpipeline/")
    (name,) = cluster.services.store.names(folder)
    page = cluster.services.store.read(name)
    assert name.endswith("/report.html")
    assert b"<html" in page
    assert b"on-kubeflow" in page


def test_a_run_without_new_data_ends_early(cluster, volume, package, done):
    again = cluster.run(package, {"only_new_data": 1})
    assert again.phase == SUCCEEDED, again.log
    assert SKIPPED in again.phases.values()
    assert again.phases["root.retrain-driver"] == OMITTED
    assert len(volume.pushed) == 1


def test_the_same_run_once_more_comes_from_the_cache(cluster, package, done):
    again = cluster.run(package)
    assert again.phase == SUCCEEDED, again.log
    assert again.nodes(SUCCEEDED) == {"NewData", "Pusher", "Handover", "Report"}


def test_a_model_that_the_gate_refuses_is_not_pushed(cluster, volume, package, done):
    """Nothing is trained again for it: what another threshold changes begins with the Evaluator."""
    before = volume.pushed
    refused = cluster.run(package, {"min_accuracy": 1.0})
    assert refused.phase == SUCCEEDED, refused.log
    assert refused.nodes(SUCCEEDED) == {"NewData", "Evaluator", "Pusher", "Handover", "Report"}
    assert volume.pushed == before


def test_changed_parameters_take_effect(cluster, volume, package, done):
    before, elsewhere = volume.pushed, volume.folder / "elsewhere"
    changed = cluster.run(package, {"max_trials": 1, "push_directory": str(elsewhere)})
    assert changed.phase == SUCCEEDED, changed.log
    assert {"ImageExampleGen", "StatisticsGen", "SchemaGen"} <= changed.nodes(SKIPPED)
    assert re.search(r"trial 1/1: .* scores", changed.pod("PruningSearch").log)
    assert len(list(elsewhere.glob("[0-9]*"))) == 1
    assert volume.pushed == before
