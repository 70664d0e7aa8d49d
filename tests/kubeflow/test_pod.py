"""The package on Kubeflow's own compiler, its root's driver, and a node's driver and launcher: without TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kubeflow_rig.kubernetes import KEYS
from kubeflow_rig.pods import Refused, check
from kubeflow_rig.release import Refused as PackageRefused
from kubeflow_rig.workflow import Outcome

PACKAGE = (Path(__file__).parents[1] / "pipelines" / "kubeflow" / "golden" / "kubeflow.yaml").read_text()
PROVIDERS = """
s3:
  default:
    endpoint: seaweedfs.kubeflow:9000
    region: us-east-1
    disableSSL: true
    credentials: {fromEnv: false, secretRef: {secretName: team-s3, accessKeyKey: key, secretKeyKey: secret}}
"""
GEN = "root.ImageExampleGen.executor"


@pytest.fixture(scope="module")
def begun(cluster) -> Outcome:
    """The root's driver, then those of the first nodes, and their launchers."""
    return cluster.run(PACKAGE, {"data_path": "gs://other/images"}, at_most=5, stub={})


def arguments(outcome: Outcome) -> list[str]:
    return outcome.pod(GEN).main["args"]


def given(outcome: Outcome) -> dict:
    command = outcome.pod(GEN).main["command"]
    return json.loads(command[command.index("--executor_input") + 1])


def test_the_first_node_runs_behind_its_driver(begun):
    nodes = [pod.node for pod in begun.pods]
    assert nodes[0] == "root-driver"
    assert nodes.index("root.ImageExampleGen-driver") + 1 == nodes.index(GEN)
    assert not begun.log
    assert arguments(begun)[:5] == ["python", "-m", "pipelines.kubeflow.entrypoint", "--tfx_node_id", "ImageExampleGen"]


def test_runtime_parameters_reach_the_node(begun):
    assert given(begun)["inputs"]["parameterValues"]["input_base"] == "gs://other/images"


def test_nodes_are_no_root(begun):
    assert '"user": 1000' in begun.pod(GEN).log


def test_artifacts_lie_below_the_pipeline_root(cluster, begun):
    uri = given(begun)["outputs"]["artifacts"]["examples"]["artifacts"][0]["uri"]
    assert uri.startswith("minio://mlpipeline/v2/artifacts/pictures/")
    assert (
        cluster.services.store.read(f"{uri.removeprefix('minio://mlpipeline/')}/made-by") == b"ImageExampleGen.examples"
    )


def test_the_launcher_writes_with_the_key_of_the_clusters_secret(cluster, begun):
    uploads = [one for one in cluster.services.store.requests if one.method == "PUT" and "/artifacts/" in one.path]
    assert {one.key for one in uploads} == {KEYS["accesskey"]}
    assert {one.host.split(".")[-1] for one in uploads} == {"kubeflow:9000"}


def test_without_a_root_the_namespaces_own_is_taken(cluster):
    cluster.services.kubernetes.launcher["defaultPipelineRoot"] = "minio://mlpipeline/private/team"
    outcome = cluster.run(PACKAGE, root="", at_most=5, stub={})
    cluster.services.kubernetes.launcher.clear()
    uri = given(outcome)["outputs"]["artifacts"]["examples"]["artifacts"][0]["uri"]
    assert uri.startswith("minio://mlpipeline/private/team/pictures/")


def test_a_root_in_s3_is_written_with_the_key_of_its_provider(cluster):
    kubernetes, requests = cluster.services.kubernetes, cluster.services.store.requests
    kubernetes.launcher["providers"] = PROVIDERS
    kubernetes.secrets["team-s3"] = {"key": "key-of-the-team", "secret": "secret-of-the-team"}
    before = len(requests)
    outcome = cluster.run(PACKAGE, root="s3://mlpipeline/team", at_most=5, stub={})
    kubernetes.launcher.clear()
    assert not outcome.log
    assert {one.key for one in requests[before:]} == {"key-of-the-team"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"tua": 0.5}, "tua"), ({"max_trials": "many"}, "max_trials")],
)  # fmt: skip
def test_the_api_server_refuses_wrong_parameters(cluster, parameters, message):
    with pytest.raises(PackageRefused, match=message):
        cluster.workflow(PACKAGE, parameters)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"volumes": [{"name": "work", "emptyDir": {}, "persistentVolumeClaim": {"claimName": "work"}}]},
            "more than 1",
        ),
        ({"volumes": [{"name": "team.images", "emptyDir": {}}]}, "RFC 1123 label"),
        ({"volumes": [{"name": "a" * 64, "emptyDir": {}}]}, "RFC 1123 label"),
        ({"volumes": [{"name": "a", "emptyDir": {}}] * 2}, "Duplicate value"),
        ({"containers": [{"volumeMounts": [{"name": "a", "mountPath": "/a"}]}]}, "Not found"),
    ],
)
def test_wrong_pods_are_refused_as_by_kubernetes(spec, message):
    check({"containers": []})
    with pytest.raises(Refused, match=message):
        check({"containers": [], **spec})
