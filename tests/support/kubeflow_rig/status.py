"""A Workflow's status in the form of Argo's controller."""

from __future__ import annotations

import copy
import datetime
import zlib
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Report = Callable[[Json], None]

RUNNING, SUCCEEDED, FAILED, SKIPPED, OMITTED = "Running", "Succeeded", "Failed", "Skipped", "Omitted"
POD, DAG, RETRY = "Pod", "DAG", "Retry"


class Status:
    """The status, from the start of the Workflow.

    Args:
        name: Name of the Workflow.
        report: Is called with the status whenever it changes.
    """

    def __init__(self, name: str, report: Report) -> None:
        self._name, self._report = name, report
        self._said: Json = {"phase": RUNNING, "startedAt": now(), "nodes": {}}

    def note(self, place: str, kind: str, phase: str, message: str = "") -> None:
        """Records a node, or a change of it.

        Args:
            place: The node, such as ``root.retrain.executor``, or ``root.retrain.executor(0)`` for its first attempt;
                empty for the whole Workflow.
            kind: ``Pod``, ``DAG`` or ``Retry``.
            phase: Its phase.
            message: The reason.
        """
        name = f"{self._name}.{place}" if place else self._name
        key = f"{self._name}-{zlib.crc32(name.encode())}" if place else self._name
        never_ran = phase in (SKIPPED, OMITTED)
        node = self._said["nodes"].setdefault(key, {
            "id": key, "name": name, "displayName": place.split(".")[-1] or name, "startedAt": now(),
        })  # fmt: skip
        node |= {"type": "Skipped" if never_ran else kind, "phase": phase}
        if message:
            node["message"] = message
        if phase != RUNNING:
            node["finishedAt"] = now()
        self._report(copy.deepcopy(self._said))

    def end(self, phase: str) -> None:
        """Ends the Workflow."""
        self._said |= {"phase": phase, "finishedAt": now()}
        self._report(copy.deepcopy(self._said))


def nobody(status: Json) -> None:
    """Ignores reports."""


def now() -> str:
    """The current time in Kubernetes' format."""
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
