"""``submit --wait``, Kubeflow's own API server, drivers and launchers: most with a stub in the image's place."""

from __future__ import annotations

import pytest
from kubeflow_cluster import Cluster as Volume
from kubeflow_rig.api_server import ApiServer
from kubeflow_rig.cluster import Cluster
from kubeflow_rig.workflow import OMITTED, SKIPPED, SUCCEEDED, Outcome

from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.timeout(7200),
    pytest.mark.parametrize("server", ["one-user"], indirect=True),
]

AGAIN = {"NewData", "Pusher", "Handover", "Report"}
"""Nodes that are taken from no cache."""


@pytest.fixture(scope="module")
def cluster(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """What runs the Workflows that the API server makes."""
    return Cluster(server.release, tmp_path_factory.mktemp("cluster"), server.services)


@pytest.fixture
def follow(server, cluster, compressor, meanwhile):
    """Submits a package, runs it, and waits for its end: the outcome, and the last that was told of each node."""

    def follow(package, *arguments: str, stub: dict | None) -> tuple[int, Outcome, dict[str, str]]:
        outcomes = []

        def run(run_id: str) -> None:
            compiled = server.workflows[run_id]
            outcomes.append(cluster.run_workflow(compiled, stub=stub, report=lambda said: server.report(run_id, said)))

        with meanwhile(run):
            result = compressor("submit", package, "--any-version", "--wait", *arguments)
        lines = [line[10:].split(maxsplit=1) for line in result.stdout.splitlines()[2:-1]]
        return result.exit_code, outcomes[0], dict(lines)

    return follow


def test_a_run_gets_from_the_command_to_a_push_and_then_from_the_cache(follow, package):
    status, outcome, told = follow(package, stub={})
    assert (status, outcome.phase) == (0, SUCCEEDED), outcome.log
    assert set(told) == outcome.nodes(SUCCEEDED)
    assert set(told.values()) == {"done"}

    status, outcome, told = follow(package, stub={})
    assert (status, outcome.phase) == (0, SUCCEEDED), outcome.log
    assert {node for node, how in told.items() if how == "done"} == AGAIN
    assert {node for node, how in told.items() if how == "cached"} == outcome.nodes(SKIPPED)


def test_without_new_data_the_rest_is_left_out(follow, package):
    nothing = {node: {"new_data": "no"} for node in ("NewData", "ImageExampleGen")}
    status, outcome, told = follow(package, "--param", "only_new_data=1", stub=nothing)
    assert (status, outcome.phase) == (0, SUCCEEDED), outcome.log
    assert told.pop("NewData") == "done"
    assert set(told.values()) <= {"left out", "done"}
    assert told["retrain"] == "left out"


def test_a_node_that_fails_is_named(follow, package):
    status, outcome, told = follow(package, stub={"PruningSearch": {"dies": 9}})
    assert status == 1
    assert told["PruningSearch"] == "failed"
    assert outcome.phases["root.retrain-driver"] == OMITTED
    assert told["retrain"] == "left out"


def test_a_model_is_pushed_with_the_project_in_the_image(follow, cluster, small_backbone, tmp_path):
    volume = Volume(cluster.pods.claim("work"), small_backbone, "2.17")
    package = tmp_path / "package.yaml"
    config = load_config(volume.folder / "config.yaml")
    package.write_text(compile_package(config, "kubeflow", image="image", code_version="0"))
    status, outcome, told = follow(package, stub=None)
    assert (status, outcome.phase) == (0, SUCCEEDED), outcome.log
    assert set(told.values()) == {"done"}
    assert len(volume.pushed) == 1
