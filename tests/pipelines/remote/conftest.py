from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubeflow_api import KubeflowApi
from kubeflow_runs import GOLDEN, forget_kubeflow

from pipelines.remote.kubeflow import Kubeflow


@pytest.fixture(autouse=True)
def stored(monkeypatch, tmp_path) -> Path:
    """The file in which the client of kfp keeps a namespace and a log-in; there is none yet."""
    return forget_kubeflow(monkeypatch, tmp_path)


@pytest.fixture
def api(stored) -> Iterator[KubeflowApi]:
    api = KubeflowApi()
    yield api
    api.close()


@pytest.fixture
def kubeflow(api) -> Kubeflow:
    return Kubeflow(api.url)


@pytest.fixture
def shared_api(stored) -> Iterator[KubeflowApi]:
    """That of a cluster with many users."""
    api = KubeflowApi(multi_user=True)
    yield api
    api.close()


@pytest.fixture
def package(tmp_path) -> Path:
    return Path(shutil.copy(GOLDEN, tmp_path / "package.yaml"))
