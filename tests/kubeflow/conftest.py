"""Clusters of Kubeflow's own binaries, which ``$KFP_BIN`` names: one for each release, for a module's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kubeflow_rig.release import Release, releases, why_none

if TYPE_CHECKING:
    from kubeflow_rig.cluster import Cluster


CONFIG = """
name: on-kubeflow
output: minio://mlpipeline/v2/artifacts
data: {source: folder, path: /team/pictures, span: "span-{SPAN}"}
backbone: {name: MobileNetV2, input_size: 48, weights: none}
gate: {min_accuracy: 0.0, max_drop: 1.0}
push: {directory: /team/serving}
volumes: [{claim: team-pictures, path: /team}]
resources:
  retrain: {cpu: 2, memory_gb: 4, accelerator: nvidia.com/gpu, node_selector: {pool: gpu}}
retries: 2
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a cluster runs on every release; it is skipped, with the reason, where there is none."""
    if "release" not in metafunc.fixturenames:
        return
    if reason := why_none():
        found = [pytest.param(None, id="no-release", marks=pytest.mark.skip(reason=reason))]
    else:
        found = [pytest.param(release, id=release.folder.name) for release in releases()]
    metafunc.parametrize("release", found, scope="module")


@pytest.fixture(scope="module")
def cluster(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One with nothing run yet."""
    from kubeflow_rig.cluster import Cluster  # takes its time to load

    one = Cluster(release, Path(tmp_path_factory.mktemp("cluster")))
    yield one
    one.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compiles a package whose data and pushed models are on a claim: ``compiled("retries=0", ...)``."""
    from pipelines.config import load_config
    from pipelines.kubeflow.package import compile_package

    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(CONFIG)

    def compile_with(*overrides: str) -> str:
        config = load_config(file, overrides)
        return compile_package(config, "kubeflow", image="registry.example.org/image@sha256:0", code_version="0")

    return compile_with
