"""What the backend takes from its cache in a second run: the real package, its nodes' work left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from kubeflow_backend import Backend, Package, TaskFailed, load

from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

CONFIG = Path(__file__).parents[3] / "examples" / "pictures.yaml"
OVERRIDES = (
    "output=gs://bucket/root", "data.path=gs://bucket/images", "data.span_pattern=span-{SPAN}", "gate.baseline=deployed"
)  # fmt: skip
EXECUTOR = """
import json, os, pathlib, sys
node, given = sys.argv[1], json.loads(sys.argv[2])
world = json.loads(pathlib.Path(os.environ["WORLD"]).read_text())
if node == world.get("fails"):
    sys.exit("no luck")
told = {"artifacts": {
    key: {"artifacts": [{"uri": one["artifacts"][0]["uri"]}]}
    for key, one in given["outputs"]["artifacts"].items() if key != "executor-logs"
}}
if given["outputs"].get("parameters"):
    told["parameterValues"] = world["NewData"]
json.dump(told, open(given["outputs"]["outputFile"], "w"))
"""
WORLD = {
    "new_data": "yes", "span": 2, "version": "", "input_fingerprint": "files:3", "input_config": "{}",
    "note": "", "previous_run": "nothing", "deployed_version": "",
}  # fmt: skip
FIRST = {"ImageExampleGen", "StatisticsGen", "SchemaGen"}
NEVER = {"NewData", "Pusher", "Handover"}


@pytest.fixture(scope="module")
def text() -> str:
    return compile_package(load_config(CONFIG, OVERRIDES), "kubeflow", image="image", code_version="0")


class Cluster:
    """A backend, and what its first node will find in the world."""

    def __init__(self, folder: Path, text: str) -> None:
        spec = yaml.safe_load(text)
        for node, task in spec["root"]["dag"]["tasks"].items():
            label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
            container = spec["deploymentSpec"]["executors"][label]["container"]
            container |= {"command": [sys.executable, "-c", EXECUTOR, node], "args": ["{{$}}"]}
        self.package: Package = load(yaml.safe_dump(spec))
        self.backend = Backend(folder)
        self._world = folder / "world.json"
        self.backend.environment["WORLD"] = str(self._world)

    def run(self, *, fails: str | None = None, parameters: dict | None = None, **found: str) -> dict[str, bool]:
        """Whether each task was taken from the cache; empty if the run failed."""
        self._world.write_text(json.dumps({"NewData": {**WORLD, **found}, "fails": fails}))
        try:
            return {name: task.cached for name, task in self.backend.run(self.package, parameters).items()}
        except TaskFailed:
            assert fails
            return {}

    def taken(self, **how) -> set[str]:
        """The tasks that were taken from the cache."""
        return {name for name, cached in self.run(**how).items() if cached}


@pytest.fixture
def cluster(tmp_path, text) -> Cluster:
    return Cluster(tmp_path, text)


def test_a_run_that_failed_goes_on_from_there(cluster):
    assert not cluster.run(fails="Evaluator")
    again = cluster.run()
    before = {
        *FIRST, "PreviousRun", "ExampleValidator", "Transform", "reference", "TranslatorPretrainer", "PruningSearch",
        "retrain", "Converter", "DeployedModel",
    }  # fmt: skip
    assert {name for name, cached in again.items() if cached} == before
    assert again.keys() - before == {*NEVER, "Evaluator", "Report"}


def test_nodes_that_write_into_the_world_are_never_taken_from_the_cache(cluster):
    everything = set(cluster.run())
    assert everything - cluster.taken() == {*NEVER, "Report"}  # which tells of what the Pusher did


def test_new_data_is_read(cluster):
    cluster.run()
    assert not cluster.taken(input_fingerprint="files:4")


def test_what_a_run_left_is_read_by_the_next(cluster):
    cluster.run()
    assert cluster.taken(previous_run="something") == FIRST
    assert "PreviousRun" in cluster.taken(previous_run="something")


def test_a_model_that_was_pushed_since_is_compared_with(cluster):
    everything = set(cluster.run())
    assert everything - cluster.taken(deployed_version="7") == {*NEVER, "DeployedModel", "Evaluator", "Report"}


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"only_new_data": 1}, {*FIRST, "PreviousRun", "PruningSearch", "Evaluator"}),
        ({"push_directory": "gs://bucket/other"}, FIRST),
        ({"tau": 0.5}, {*FIRST, "PreviousRun", "reference", "TranslatorPretrainer"}),
    ],
)
def test_a_parameter_is_a_matter_of_the_nodes_that_take_it(cluster, changed, kept):
    cluster.run()
    assert kept <= cluster.taken(parameters=changed)


def test_without_new_data_no_other_node_is_reached(cluster):
    assert list(cluster.run(new_data="no")) == ["NewData"]
