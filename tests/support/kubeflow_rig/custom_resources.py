"""Workflows and ScheduledWorkflows in Kubernetes, which clients create, read, change and delete."""

from __future__ import annotations

import copy
import threading
from itertools import count
from typing import Any

from kubeflow_rig.status import now

Json = dict[str, Any]

KINDS = {"workflows": "Workflow", "scheduledworkflows": "ScheduledWorkflow"}
"""Kinds by their plural, which is the last part of a list's path."""


class CustomResources:
    """The objects, by the path of each."""

    def __init__(self) -> None:
        self._objects: dict[str, Json] = {}
        self._versions = count(1)
        self._one_at_a_time = threading.Lock()

    def all(self, plural: str) -> list[Json]:
        """The objects of a kind in all namespaces, the oldest first."""
        with self._one_at_a_time:
            return [copy.deepcopy(one) for path, one in self._objects.items() if path.split("/")[-2] == plural]

    def answer(self, method: str, path: str, body: Any) -> Json:
        """Responds to a request; raises a KeyError if the object does not exist."""
        with self._one_at_a_time:
            if method == "POST":
                return self._made(path, body)
            if path.split("/")[-1] in KINDS:
                return self._listed(path)
            found = self._objects[path]
            if method == "DELETE":
                del self._objects[path]
                return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
            if method == "PUT":
                found = body
            elif method == "PATCH":
                found = _patched(found, body) if isinstance(body, list) else _merged(found, body)
            if method != "GET":
                self._objects[path] = found
                found["metadata"]["resourceVersion"] = str(next(self._versions))
            return copy.deepcopy(found)

    def _made(self, path: str, one: Json) -> Json:
        version = next(self._versions)
        about = one["metadata"]
        about.setdefault("name", f"{about.get('generateName', '')}{version:05x}")
        about |= {
            "namespace": path.split("/")[-2], "uid": f"00000000-0000-0000-0000-{version:012x}",
            "resourceVersion": str(version),
            "creationTimestamp": now(),
        }  # fmt: skip
        self._objects[f"{path}/{about['name']}"] = one
        return copy.deepcopy(one)

    def _listed(self, path: str) -> Json:
        version, plural = "/".join(path.split("/")[2:4]), path.split("/")[-1]
        items = [one for name, one in self._objects.items() if name.startswith(f"{path}/")]
        return {
            "kind": f"{KINDS[plural]}List", "apiVersion": version, "metadata": {"resourceVersion": "1"},
            "items": copy.deepcopy(items),
        }  # fmt: skip


def _merged(old: Any, patch: Any) -> Any:
    """Applies a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = _merged(kept.get(key), value)
    return kept


def _patched(old: Json, steps: list[Json]) -> Json:
    """Applies a JSON patch (RFC 6902) to nested objects."""
    new = copy.deepcopy(old)
    for step in steps:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
        place = new
        for part in way:
            place = place.setdefault(part, {})
        if step["op"] == "remove":
            del place[last]
        elif step["op"] == "test":
            if place.get(last) != step["value"]:
                raise ValueError(f"testing path {step['path']}")
        else:
            place[last] = step["value"]
    return new
