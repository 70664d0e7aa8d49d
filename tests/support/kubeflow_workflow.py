"""The nodes of a run in the API of Kubeflow Pipelines: in Argo's Workflow, and in the run's task details.

The compiler turns a node into a driver and, beside it, a DAG with the executor (argocompiler/container.go).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_PHASES = {
    "driving": ("Running", None, None),
    "running": ("Succeeded", "Running", "Running"),
    "done": ("Succeeded", "Succeeded", "Succeeded"),
    "cached": ("Succeeded", "Succeeded", "Skipped"),
    "skipped": ("Succeeded", "Skipped", None),  # its condition does not hold
    "omitted": ("Omitted", "Omitted", None),  # depends on one that did not succeed
    "failed": ("Succeeded", "Failed", "Failed"),
    "driver failed": ("Failed", "Omitted", None),
    "cancelled": ("Succeeded", "Failed", "Failed"),
}
"""Phases of driver, node and executor, by the state of the node."""

_STATES = {"Succeeded": "SUCCEEDED", "Skipped": "SKIPPED", "Running": "RUNNING", "Failed": "FAILED"}
_MESSAGES = {
    "failed": "main: Error (exit code 1)",
    "driver failed": "main: Error (exit code 1)",
    "cancelled": "Pod was active on the node longer than the specified deadline",
}


def workflow(nodes: Mapping[str, str], *, cancelled: bool = False, name: str = "images-x7k2p") -> Json:
    """Builds the Workflow of a run.

    Args:
        nodes: State of each node, by id: ``done``, ``cached``, ``skipped``, ``omitted``, ``running``, ``driving``,
            ``failed``, ``driver failed`` or ``cancelled``.
        cancelled: Whether the run is being cancelled.
        name: Name of the Workflow.
    """
    found: list[Json] = [
        {"name": name, "displayName": name, "type": "DAG", "phase": "Running"},
        {"name": f"{name}.root-driver", "displayName": "root-driver", "type": "Pod", "phase": "Succeeded"},
        {"name": f"{name}.root", "displayName": "root", "type": "DAG", "phase": "Running"},
    ]
    for node, how in nodes.items():
        driver, phase, executor = _PHASES[how]
        path, message = f"{name}.root.{node}", _MESSAGES.get(how)
        at_driver = how == "driver failed"
        found.append(_node(f"{path}-driver", f"{node}-driver", "Pod", driver, message if at_driver else None))
        if phase:
            found.append(_node(path, node, "DAG", phase, None))
        if executor:
            found.append(_node(f"{path}.executor", "executor", "Pod", executor, message))
    random.Random(0).shuffle(found)
    spec: Json = {"entrypoint": "entrypoint"}
    if cancelled:
        spec["activeDeadlineSeconds"] = 0
    statuses = {f"{name}-{number}": {"id": f"{name}-{number}", **node} for number, node in enumerate(found)}
    return {"metadata": {"name": name}, "spec": spec, "status": {"nodes": statuses}}


def task_details(made: Json) -> list[Json]:
    """Builds a run's task details for the same nodes: without messages, unordered, and without a state if omitted."""
    details = []
    for node in made["status"]["nodes"].values():
        detail = {"display_name": node["displayName"]}
        if node["phase"] in _STATES:
            detail["state"] = _STATES[node["phase"]]
        details.append(detail)
    return [*details, {"task_id": "of-the-cache"}]


def _node(name: str, shown: str, kind: str, phase: str, message: str | None) -> Json:
    kind = phase if phase in ("Skipped", "Omitted") else kind
    node = {"name": name, "displayName": shown, "type": "Skipped" if kind == "Omitted" else kind, "phase": phase}
    return {**node, "message": message} if message else node
