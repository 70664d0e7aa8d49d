"""The compiled package on ``kfp.local``, which runs pipelines by Docker and knows no conditions."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from kfp import components
from kubeflow_cluster import Cluster

local = pytest.importorskip("kfp.local", reason="the kfp of Python 3.10 has no kfp.local")

IMAGE = os.environ.get("COMPRESSOR_IMAGE")


def why_not() -> str:
    """Why no container can be run; empty if one can."""
    if not IMAGE:
        return "no image is named by $COMPRESSOR_IMAGE: make image-test builds one"
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        return f"there is no Docker daemon: {error}"
    return ""


@pytest.fixture
def cluster(tmp_path, small_backbone) -> Cluster:
    return Cluster(tmp_path, small_backbone, "2.17", image=IMAGE or "auto-compressor:test")


@pytest.fixture
def runs_in(monkeypatch) -> Callable[[Path], None]:
    """Chooses kfp.local's Docker runner, with a folder that its containers see."""
    monkeypatch.setattr(local.config.LocalExecutionConfig, "instance", None)
    return lambda folder: local.init(local.DockerRunner(), pipeline_root=str(folder))


def loaded(spec: dict[str, Any]) -> Callable[[], Any]:
    return components.load_component_from_text(yaml.safe_dump(spec))


def without_conditions(cluster: Cluster) -> dict[str, Any]:
    """The package's spec, its nodes run whether there is new data or not."""
    spec = copy.deepcopy(cluster.package.spec)
    for task in spec["root"]["dag"]["tasks"].values():
        task.pop("triggerPolicy", None)
    return spec


class Engine:
    """In place of a Docker client: what would be run in a container is run here."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.images = self.containers = self
        self.mounted: set[str] = set()
        self._environment = environment

    def list(self) -> list[Any]:
        return []

    def pull(self, repository: str, tag: str) -> None:
        assert (repository, tag) == ("auto-compressor", "test")

    def run(self, image: str, command: list[str], volumes: dict[str, Any], **options: bool) -> Engine:
        self.mounted |= volumes.keys()
        self._done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return self

    def logs(self, stream: bool) -> list[bytes]:
        return self._done.stdout.splitlines(keepends=True)

    def wait(self) -> dict[str, int]:
        return {"StatusCode": self._done.returncode}

    def close(self) -> None:
        pass


class IdleEngine(Engine):
    """In which every container ends well at once."""

    def __init__(self) -> None:
        super().__init__({})

    def run(self, image: str, command: list[str], volumes: dict[str, Any], **options: bool) -> Engine:
        self._done = subprocess.CompletedProcess(command, 0, b"")
        return self


@pytest.mark.skipif(bool(IMAGE), reason="the image itself is run")
class TestUpToTheEngine:
    def test_conditions_are_what_it_cannot_do(self, cluster, runs_in, monkeypatch):
        monkeypatch.setattr(docker, "from_env", IdleEngine)
        runs_in(cluster.folder)
        with pytest.raises(NotImplementedError, match=r"'dsl\.Condition' is not supported"):
            loaded(cluster.package.spec)()

    @pytest.mark.slow
    def test_its_containers_understand_one_another(self, cluster, runs_in, monkeypatch):
        engine = Engine(cluster.backend.environment)
        monkeypatch.setattr(docker, "from_env", lambda: engine)
        runs_in(cluster.folder)
        spec = without_conditions(cluster)
        tasks = spec["root"]["dag"]["tasks"]
        spec["root"]["dag"]["tasks"] = {
            name: tasks[name] for name in ("NewData", "ImageExampleGen", "StatisticsGen", "SchemaGen")
        }
        loaded(spec)()
        assert engine.mounted == {str(cluster.folder)}
        (schema,) = cluster.folder.glob("on-kubeflow-*/*/schema/schema.pbtxt")
        assert 'name: "label"' in schema.read_text()


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_it_runs_from_images_to_a_pushed_model(cluster, runs_in):
    shared = os.umask(0)  # the nodes run as another user
    try:
        cluster.folder.chmod(0o777)
        runs_in(cluster.folder)
        loaded(without_conditions(cluster))()
    finally:
        os.umask(shared)
    assert len(cluster.pushed) == 1
