"""A run and a schedule of the golden package, as the tests of Kubeflow's client make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.platforms.base import RemoteRun, Schedule
from pipelines.platforms.cron import Cron
from pipelines.platforms.kubeflow import Kubeflow

GOLDEN = Path(__file__).parents[1] / "pipelines" / "kubeflow" / "golden" / "kubeflow.yaml"
MONDAYS = Cron("0 3 * * 1", "UTC")
_VARIABLES = (
    "KFP_TOKEN", "KFP_COOKIES", "KFP_NAMESPACE", "KFP_HOST", "SSL_CERT_FILE", "KF_PIPELINES_UI_ENDPOINT",
    "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID",
)  # fmt: skip


def forget_kubeflow(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Lets the environment say nothing of a Kubeflow, and the client of kfp keep what it stores in a folder.

    Returns:
        The file in which that keeps a namespace and a log-in; there is none yet.
    """
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = folder / "context.json"
    monkeypatch.setattr("kfp.client.Client._LOCAL_KFP_CONTEXT", str(path))
    return path


def submitted(kubeflow: Kubeflow, package: Path, **given: Any) -> RemoteRun:
    """Starts a run; what is given replaces arguments."""
    given = {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root", "caching": True, **given}
    return kubeflow.submit(package, name="pictures", **given)


def scheduled(kubeflow: Kubeflow, package: Path, name: str = "weekly", cron: Cron = MONDAYS) -> Schedule:
    """Makes a schedule."""
    return kubeflow.create_schedule(
        package, name=name, cron=cron, parameters={"max_trials": 3}, pipeline_root="gs://bucket/root"
    )
