"""Runs and schedules of the golden package, for tests of Kubeflow's client."""

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
    """Removes Kubeflow from the environment, and makes the client of kfp store its context in a folder.

    Returns:
        The file in which the client stores a namespace and a log-in, which does not exist yet.
    """
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = folder / "context.json"
    monkeypatch.setattr("kfp.client.Client._LOCAL_KFP_CONTEXT", str(path))
    return path


def submitted(kubeflow: Kubeflow, package: Path, **given: Any) -> RemoteRun:
    """Starts a run; ``given`` replaces arguments."""
    given = {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root", "caching": True, **given}
    return kubeflow.submit(package, name="pictures", **given)


def scheduled(kubeflow: Kubeflow, package: Path, name: str = "weekly", cron: Cron = MONDAYS) -> Schedule:
    """Creates a schedule."""
    return kubeflow.create_schedule(
        package, name=name, cron=cron, parameters={"max_trials": 3}, pipeline_root="gs://bucket/root"
    )
