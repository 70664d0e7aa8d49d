"""Runs a Workflow like Argo's controller: tasks in order, with conditions and retries."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubeflow_rig.argo import Argo
from kubeflow_rig.kubernetes import NAMESPACE
from kubeflow_rig.pods import Pod, Pods
from kubeflow_rig.status import (
    DAG,
    FAILED,
    OMITTED,
    POD,
    RETRY,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    Json,
    Report,
    Status,
    nobody,
)


@dataclass
class Outcome:
    """The outcome of a Workflow.

    Attributes:
        phase: Its phase.
        phases: Phases of the tasks in its DAGs, such as ``root.retrain-driver``, ``root.retrain`` and
            ``root.retrain.executor``.
        pods: Its pods, in order.
    """

    phase: str = RUNNING
    phases: dict[str, str] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)

    def pod(self, node: str) -> Pod:
        """The last pod of a node, such as ``retrain`` or ``retrain-driver``."""
        names = (f"root.{node}", f"root.{node}.executor", node)
        return [one for one in self.pods if one.node in names][-1]

    @property
    def log(self) -> str:
        """The end of the log of each pod that failed."""
        return "\n".join(f"{one.node} ended with {one.status}:\n{one.log[-4000:]}" for one in self.pods if one.status)

    def nodes(self, phase: str) -> set[str]:
        """The pipeline's nodes whose executor ended with a phase; ``Skipped`` if they were cached."""
        ends = {name.split(".")[1]: one for name, one in self.phases.items() if name.endswith(".executor")}
        return {name for name, one in ends.items() if one == phase}


class Enough(Exception):
    """The requested number of pods have run."""


def run(workflow: Json, pods: Pods, *, at_most: int | None = None, report: Report = nobody) -> Outcome:
    """Runs a Workflow.

    Args:
        workflow: The compiled Workflow.
        pods: Runs its pods.
        at_most: Number of pods after which it ends.
        report: Is called with the Workflow's status whenever it changes.
    """
    with Argo(pods.release.argo) as argo:
        controller = _Controller(workflow, pods, argo, at_most, report)
        with contextlib.suppress(Enough):
            controller.run()
        return controller.outcome


class _Controller:
    def __init__(self, workflow: Json, pods: Pods, argo: Argo, at_most: int | None, report: Report) -> None:
        self._spec, self._pods, self._argo, self._at_most = workflow["spec"], pods, argo, at_most
        self._templates = {one["name"]: one for one in self._spec["templates"]}
        self.outcome = Outcome()
        about = workflow["metadata"]
        created = "2026-01-02T03:04:05Z"
        self._globals = {
            "workflow.name": about.get("name") or f"{about['generateName']}abcde",
            "workflow.uid": "uid-of-the-workflow", "workflow.namespace": NAMESPACE, "workflow.status": "Running",
            "workflow.serviceAccountName": self._spec.get("serviceAccountName", ""),
            "workflow.creationTimestamp": created, "workflow.creationTimestamp.RFC3339": created,
        }  # fmt: skip
        for one in self._spec.get("arguments", {}).get("parameters", ()):
            self._globals[f"workflow.parameters.{one['name']}"] = one.get("value", "")
        for kind in ("labels", "annotations"):
            for name, value in about.get(kind, {}).items():
                self._globals[f"workflow.{kind}.{name}"] = value
        self._status = Status(self._globals["workflow.name"], report)

    def run(self) -> None:
        """Runs the Workflow to its end."""
        phase, _ = self.template(self._spec["entrypoint"], self._spec.get("arguments", {}), "")
        self.outcome.phase = phase
        self._status.end(phase)

    def template(self, name: str, arguments: Json, node: str) -> tuple[str, dict[str, str]]:
        """Runs a template; returns its phase and its output parameters."""
        filled = self._filled(name, arguments, node, 0)
        return (self._dag(filled, node), {}) if "dag" in filled else self._tried(name, arguments, filled, node)

    def _filled(self, name: str, arguments: Json, node: str, attempt: int) -> Json:
        template = self._templates[name]
        local = {"pod.name": node, "node.name": node, "retries": str(attempt), "lastRetry.exitCode": "0"}
        for one in template.get("outputs", {}).get("parameters", ()):
            local[f"outputs.parameters.{one['name']}.path"] = one.get("valueFrom", {}).get("path", "")
        filled: Json = self._argo.filled(template, arguments, self._globals, local)
        return filled

    def _dag(self, template: Json, node: str) -> str:
        waiting = {task["name"]: task for task in template["dag"]["tasks"]}
        phases: dict[str, str] = {}
        outputs: dict[str, str] = {}
        self._status.note(node, DAG, RUNNING)
        while waiting:
            name = next(name for name, task in waiting.items() if not set(_wanted(task)) & waiting.keys())
            task, place = waiting.pop(name), f"{node}.{name}".lstrip(".")
            if any(phases[other] not in allowed for other, allowed in _wanted(task).items()):
                phases[name] = OMITTED
                self._status.note(place, DAG, OMITTED, "omitted: depends condition not met")
            else:
                task = self._argo.replaced(task, outputs)
                if "when" in task and not _holds(task["when"]):
                    phases[name] = SKIPPED
                    self._status.note(place, DAG, SKIPPED, f"when '{task['when']}' evaluated false")
                else:
                    phases[name], given = self.template(task["template"], task.get("arguments", {}), place)
                    outputs |= {f"tasks.{name}.outputs.parameters.{key}": value for key, value in given.items()}
            self.outcome.phases[place] = phases[name]
        phase = FAILED if FAILED in phases.values() else SUCCEEDED
        self._status.note(node, DAG, phase)
        return phase

    def _tried(self, name: str, arguments: Json, template: Json, node: str) -> tuple[str, dict[str, str]]:
        """``processNodeRetries`` (argo-workflows, workflow/controller/operator.go), without the waits in between."""
        strategy = template.get("retryStrategy", {})
        if strategy:
            self._status.note(node, RETRY, RUNNING)
        most = strategy.get("backoff", {}).get("maxDuration", "")
        elapsed = 0.0
        for attempt in range(int(strategy.get("limit", 0)) + 1):
            filled = template if attempt == 0 else self._filled(name, arguments, node, attempt)
            place = f"{node}({attempt})" if strategy else node
            self._status.note(place, POD, RUNNING)
            pod = self._pod(filled, node, attempt)
            if pod.status == 0:
                self._status.note(place, POD, SUCCEEDED)
                if strategy:
                    self._status.note(node, RETRY, SUCCEEDED)
                return SUCCEEDED, _outputs(filled, pod)
            self._status.note(place, POD, FAILED, f"main: Error (exit code {pod.status})")
            elapsed += pod.seconds
            if most and _seconds(most) < elapsed:
                break  # "Max duration limit exceeded"
        if strategy:
            self._status.note(node, RETRY, FAILED, "No more retries left")
        return FAILED, {}

    def _pod(self, template: Json, node: str, attempt: int) -> Pod:
        if self._at_most is not None and len(self.outcome.pods) >= self._at_most:
            raise Enough
        spec = {
            "containers": [{**template["container"], "name": "main"}],
            "initContainers": template.get("initContainers", []),
            "volumes": [*template.get("volumes", []), *self._spec.get("volumes", [])],
        }
        if template.get("podSpecPatch"):
            spec = self._argo.patched(spec, template["podSpecPatch"])
        pod = self._pods.run(spec, node, attempt)
        self.outcome.pods.append(pod)
        return pod


def _wanted(task: Json) -> Mapping[str, tuple[str, ...]]:
    """The tasks that a task depends on, with the phases in which they let it run."""
    wanted = {}
    for one in filter(None, re.split(r"\s*&&\s*", task.get("depends", ""))):
        found = re.fullmatch(r"([\w-]+)(?:\.(\w+))?", one)
        if not found:
            raise NotImplementedError(f"depends: {task['depends']}")
        wanted[found[1]] = (found[2],) if found[2] else (SUCCEEDED, SKIPPED)
    return wanted


def _holds(condition: str) -> bool:
    left, operator, right = re.fullmatch(r"\s*(\S*)\s*(==|!=)\s*(\S*)\s*", condition).groups()  # type: ignore[union-attr]
    return bool((left == right) == (operator == "=="))


def _seconds(duration: str) -> float:
    units = {"": 1, "s": 1, "m": 60, "h": 3600}
    number, unit = re.fullmatch(r"(\d+)([smh]?)", duration).groups()  # type: ignore[union-attr]
    return float(int(number) * units[unit])


def _outputs(template: Json, pod: Pod) -> dict[str, str]:
    outputs = {}
    for one in template.get("outputs", {}).get("parameters", ()):
        source = one.get("valueFrom", {})
        file = pod.folder / "tmp" / source["path"].removeprefix("/tmp/") if "path" in source else None
        if file and file.exists():
            outputs[one["name"]] = file.read_text()
        elif "default" in source:
            outputs[one["name"]] = source["default"]
    return outputs
