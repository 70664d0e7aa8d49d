"""What several tests of the pipelines' commands and platforms need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubeflow_api import KubeflowApi
from kubeflow_runs import GOLDEN, forget_kubeflow

from pipelines.platforms.kubeflow import Kubeflow


@pytest.fixture
def closed(tmp_path, monkeypatch) -> Path:
    """A folder that may not be entered, as it is for a user who is not root."""
    folder = tmp_path / "closed"
    folder.mkdir()
    stat, access = os.stat, os.access

    def refusing(path, *arguments, **named):
        if not isinstance(path, int) and folder in Path(os.fsdecode(path)).parents:
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", refusing)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    return folder


@pytest.fixture
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
