"""Every node's driver and launcher, with a stub in the image's place: what the cluster does between the nodes."""

from __future__ import annotations

import re

import pytest
from kubeflow_rig.workflow import FAILED, OMITTED, SKIPPED, SUCCEEDED, Outcome

pytestmark = pytest.mark.kubeflow

NOTHING_NEW = {node: {"new_data": "no"} for node in ("NewData", "ImageExampleGen")}
NODES = {
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "reference", "PreviousRun",
    "TranslatorPretrainer", "PruningSearch", "retrain", "Converter", "Evaluator", "Pusher", "Report", "Handover",
}  # fmt: skip


@pytest.fixture(scope="module")
def package(compiled) -> str:
    return compiled()


@pytest.fixture(scope="module")
def done(cluster, package: str) -> Outcome:
    return cluster.run(package, stub={})


def test_a_default_package_gets_from_the_images_to_its_report(cluster, done):
    assert done.phase == SUCCEEDED, done.log
    assert done.nodes(SUCCEEDED) >= NODES
    assert not [reason for method, reason in cluster.services.mlmd.refusals if not method.startswith("Get")]


def test_each_node_gets_what_the_others_made(done):
    taken = re.findall(r"^stub: input (\w+) (\S+)$", done.pod("Evaluator").log, re.MULTILINE)
    assert set(taken) == {
        ("examples", "Transform.transformed_examples"),
        ("model", "Converter.model"),
        ("baseline_model", "reference.model"),
    }


@pytest.mark.parametrize("node", sorted(NODES))
def test_every_node_has_the_volume_and_no_root(done, node):
    pod = done.pod(node)
    assert '"user": 1000' in pod.log
    assert {"name": "team-pictures", "mountPath": "/team"} in pod.main["volumeMounts"]


def test_a_node_gets_its_resources_and_its_kind_of_machine(done):
    pod = done.pod("retrain")
    limits = pod.main["resources"]["limits"]
    assert (limits["cpu"], limits["nvidia.com/gpu"]) == ("2", "1")
    assert pod.spec["nodeSelector"] == {"pool": "gpu"}


def test_changed_parameters_reach_the_nodes(cluster, package):
    outcome = cluster.run(package, {"tau": 0.25, "max_trials": 3, "push_directory": "/team/elsewhere"}, stub={})
    assert outcome.phase == SUCCEEDED, outcome.log
    assert '"max_trials": 3' in outcome.pod("PruningSearch").log
    assert '"tau": 0.25' in outcome.pod("PruningSearch").log
    assert '"push_directory": "/team/elsewhere"' in outcome.pod("Pusher").log


def test_without_new_data_nothing_else_runs(cluster, package):
    outcome = cluster.run(package, {"only_new_data": 1}, stub=NOTHING_NEW)
    assert outcome.phase == SUCCEEDED, outcome.log
    assert SKIPPED in outcome.phases.values()
    assert outcome.phases["root.retrain-driver"] == OMITTED
    assert not outcome.nodes(SUCCEEDED) & {"StatisticsGen", "Transform", "reference", "Pusher", "Report"}


def test_the_deployed_model_may_be_the_baseline(cluster, compiled):
    outcome = cluster.run(compiled("gate.baseline=deployed"), stub={})
    assert outcome.phase == SUCCEEDED, outcome.log
    taken = dict(re.findall(r"^stub: input (\w+) (\S+)$", outcome.pod("Evaluator").log, re.MULTILINE))
    assert (taken["baseline_model"], taken["reference"]) == ("DeployedModel.model", "reference.model")


def test_a_node_that_fails_ends_the_run(cluster, compiled):
    outcome = cluster.run(compiled("retries=0"), {"tau": 0.625}, stub={"PruningSearch": {"dies": 1}})
    assert outcome.phase == FAILED
    assert outcome.nodes(FAILED) == {"PruningSearch"}
    assert outcome.phases["root.retrain-driver"] == OMITTED
    assert "signal: killed" in outcome.pod("PruningSearch").log


def test_a_killed_node_is_tried_again(cluster, package):
    outcome = cluster.run(package, {"tau": 0.125}, stub={"PruningSearch": {"dies": 1}})
    assert outcome.phase == SUCCEEDED, outcome.log
    tries = [pod for pod in outcome.pods if pod.node == "root.PruningSearch.executor"]
    assert [pod.attempt for pod in tries] == [0, 1]
    assert "signal: killed" in tries[0].log
    assert tries[1].status == 0


def test_a_node_is_tried_as_often_as_was_asked_for(cluster, package):
    outcome = cluster.run(package, {"tau": 0.375}, stub={"PruningSearch": {"dies": 9}})
    assert outcome.phase == FAILED
    tries = [pod.attempt for pod in outcome.pods if pod.node == "root.PruningSearch.executor"]
    assert tries == [0, 1, 2]


def test_the_same_run_once_more_comes_from_the_cache(cluster, package, done):
    """But for the nodes that look at what is outside of the cluster, or change it, and the report of what they did."""
    again = cluster.run(package, stub={})
    assert again.phase == SUCCEEDED, again.log
    assert again.nodes(SUCCEEDED) == {"NewData", "Pusher", "Handover", "Report"}
    assert again.nodes(SKIPPED) == done.nodes(SUCCEEDED) - again.nodes(SUCCEEDED)


def test_new_images_are_read_in_spite_of_the_cache(cluster, package, done):
    again = cluster.run(package, stub={"NewData": {"input_fingerprint": "of other images"}})
    assert again.phase == SUCCEEDED, again.log
    assert {"ImageExampleGen", "StatisticsGen", "retrain"} <= again.nodes(SUCCEEDED)
