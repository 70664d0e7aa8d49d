from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubeflow_api import KubeflowApi
from kubeflow_runs import GOLDEN

from pipelines.remote.kubeflow import Kubeflow


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    """The environment says nothing of a Kubeflow."""
    for name in (
        "KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KFP_HOST", "SSL_CERT_FILE", "KF_PIPELINES_UI_ENDPOINT",
        "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stored(monkeypatch, tmp_path) -> Path:
    """The file in which the client of kfp keeps a namespace and a log-in; there is none yet."""
    path = tmp_path / "context.json"
    monkeypatch.setattr("kfp.client.Client._LOCAL_KFP_CONTEXT", str(path))
    return path


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
