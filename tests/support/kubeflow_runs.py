"""A run and a schedule of the golden package, as the tests of Kubeflow's client make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.remote.cron import Cron
from pipelines.remote.kubeflow import Kubeflow
from pipelines.remote.platform import RemoteRun, Schedule

GOLDEN = Path(__file__).parents[1] / "pipelines" / "kubeflow" / "golden" / "kubeflow.yaml"
MONDAYS = Cron("0 3 * * 1", "UTC")


def submitted(kubeflow: Kubeflow, package: Path, **given: Any) -> RemoteRun:
    """Starts a run; what is given replaces arguments."""
    given = {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root", "caching": True, **given}
    return kubeflow.submit(package, name="pictures", **given)


def scheduled(kubeflow: Kubeflow, package: Path, name: str = "weekly", cron: Cron = MONDAYS) -> Schedule:
    """Makes a schedule."""
    return kubeflow.create_schedule(
        package, name=name, cron=cron, parameters={"max_trials": 3}, pipeline_root="gs://bucket/root"
    )
