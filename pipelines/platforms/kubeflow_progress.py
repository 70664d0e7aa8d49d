"""The progress of runs on Kubeflow Pipelines, from their Workflow or, failing that, from their task details."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.platforms.base import Progress, State
from pipelines.platforms.kubeflow_client import KubeflowClient

_RUN = {
    "PENDING": State.WAITING,
    "PAUSED": State.WAITING,
    "RUNNING": State.RUNNING,
    "CANCELING": State.RUNNING,
    "SUCCEEDED": State.DONE,
    "SKIPPED": State.DONE,
    "FAILED": State.FAILED,
    "CANCELED": State.STOPPED,
}
_NODE = {**_RUN, "SKIPPED": State.LEFT_OUT}
_PHASE = {
    "Pending": State.WAITING,
    "Running": State.RUNNING,
    "Succeeded": State.DONE,
    "Skipped": State.LEFT_OUT,
    "Omitted": State.LEFT_OUT,
    "Failed": State.FAILED,
    "Error": State.FAILED,
}
_CUT_SHORT = re.compile("deadline|shutdown", re.IGNORECASE)
"""Argo's message for a pod that it ended because the whole run was stopped."""

_NO_SUCH_API = (403, 404, 405, 410, 501)

Json = Mapping[str, Any]


def progress_of(client: KubeflowClient, run: Any, *, cancelled: bool) -> Progress:
    """Determines the progress of a run.

    Args:
        client: The client.
        run: The run, as the client returns it.
        cancelled: Whether the run was seen being cancelled. Once it has ended, the API reports it as failed.
    """
    state = _RUN.get(run.state, State.WAITING)
    workflow = _workflow(client, run.run_id)
    if workflow is not None:
        # The API server cancels runs by setting this.
        cancelled = cancelled or workflow.get("spec", {}).get("activeDeadlineSeconds") == 0
        nodes, reasons = nodes_of(workflow)
    else:
        details = (run.run_details and run.run_details.task_details) or []
        nodes, reasons = _nodes_of_details(details, ended=state.is_final), {}
    if cancelled and state is State.FAILED:
        state = State.STOPPED
        nodes |= {node: State.STOPPED for node, reason in reasons.items() if _CUT_SHORT.search(reason)}
    reason = "; ".join(f"{node}: {why}" for node, why in reasons.items() if nodes[node] is State.FAILED)
    if not reason and run.error and run.error.message:
        reason = run.error.message
    return Progress(state, nodes, reason or ("it was cancelled" if state is State.STOPPED else ""))


def nodes_of(workflow: Json) -> tuple[dict[str, State], dict[str, str]]:
    """Reads the states of the pipeline's nodes from Argo's Workflow.

    The compiler turns a node into two tasks: its driver and, under the node's name, one around the executor. If the
    driver finds the node in the cache, the executor is skipped. If the node's condition does not hold, the whole node
    is skipped. Nodes after a skipped or failed one are omitted.

    Args:
        workflow: The Workflow, as JSON.

    Returns:
        The state of each node, and the reasons for failures, by node.
    """
    found = list(workflow["status"]["nodes"].values())
    shown: dict[str, Json] = {node.get("displayName", ""): node for node in found}
    states: dict[str, State] = {}
    reasons: dict[str, str] = {}
    for name in _pipeline_nodes(shown):
        driver, node = shown[f"{name}-driver"], shown.get(name)
        within = [one for one in found if node and one["name"].startswith((f"{node['name']}.", f"{node['name']}("))]
        if _phase(driver) is State.FAILED:
            states[name] = State.FAILED
            reasons[name] = f"its driver failed: {driver.get('message') or 'no reason is given'}"
            continue
        if node is None:
            states[name] = State.LEFT_OUT if _phase(driver) is State.LEFT_OUT else State.RUNNING
            continue
        states[name] = _phase(node)
        if states[name] is State.DONE and any(one.get("phase") == "Skipped" for one in within):
            states[name] = State.CACHED
        if states[name] is State.FAILED:
            failed = [one for one in within if _phase(one) is State.FAILED and one.get("message")]
            failed.sort(key=lambda one: (one.get("type") == "Pod", one.get("finishedAt") or ""))
            reasons[name] = failed[-1]["message"] if failed else node.get("message") or "no reason is given"
    return states, reasons


def _nodes_of_details(details: Iterable[Any], *, ended: bool) -> dict[str, State]:
    """Reads the states from a run's task details, which contain neither the cache nor reasons."""
    shown: dict[str, str] = {one.display_name: one.state or "" for one in details if one.display_name}
    unsaid = State.LEFT_OUT if ended else State.WAITING
    return {
        name: State.FAILED if shown[f"{name}-driver"] == "FAILED" else _NODE.get(shown.get(name, ""), unsaid)
        for name in _pipeline_nodes(shown)
    }


def _pipeline_nodes(shown: Iterable[str]) -> list[str]:
    """The names of the pipeline's nodes, which have a driver; the other entries are the backend's own."""
    drivers = (name.removesuffix("-driver") for name in shown if name.endswith("-driver"))
    return [name for name in drivers if name != "root"]


def _phase(node: Json) -> State:
    return _PHASE.get(node.get("phase", ""), State.WAITING)


def _workflow(client: KubeflowClient, run_id: str) -> Json | None:
    """Fetches the run's Workflow from API version 1; None if that version was removed, or has no Workflow yet."""
    from kfp_server_api import ApiException

    try:
        response = client.ask(f"/apis/v1beta1/runs/{run_id}")
        workflow: Json = json.loads(response["pipeline_runtime"]["workflow_manifest"])
        return workflow if workflow["status"]["nodes"] else None
    except ApiException as error:
        if error.status in _NO_SUCH_API:
            return None
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
