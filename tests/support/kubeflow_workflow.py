"""How a run's nodes look in the API of Kubeflow Pipelines: in Argo's Workflow, and in the run's task details.

Follows what the compiler makes of a node (argocompiler/container.go): a driver and, beside it, a DAG with the executor.
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
    "omitted": ("Omitted", "Omitted", None),  # behind one that did not succeed
    "failed": ("Succeeded", "Failed", "Failed"),
    "driver failed": ("Failed", "Omitted", None),
    "cancelled": ("Succeeded", "Failed", "Failed"),
}
"""Phases of driver, node and executor by how the node is."""

_STATES = {"Succeeded": "SUCCEEDED", "Skipped": "SKIPPED", "Running": "RUNNING", "Failed": "FAILED"}
_MESSAGES = {
    "failed": "main: Error (exit code 1)",
    "driver failed": "main: Error (exit code 1)",
    "cancelled": "Pod was active on the node longer than the specified deadline",
}


def workflow(nodes: Mapping[str, str], *, cancelled: bool = False, name: str = "images-x7k2p") -> Json:
    """The Workflow of a run.

    Args:
        nodes: How each node is, by the pipeline's ids: ``done``, ``cached``, ``skipped``, ``omitted``, ``running``,
            ``driving``, ``failed``, ``driver failed`` or ``cancelled``.
        cancelled: Whether somebody has asked to end it.
        name: The Workflow's.
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
    """The same nodes as entries of a run: without messages, in any order, and without a state if omitted."""
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
