"""The API server's TaskService, in which drivers look up cached tasks and launchers record theirs."""

from __future__ import annotations

import json
from typing import Any

import grpc

from kubeflow_rig.grpc_server import Method, serve
from kubeflow_rig.messages import NUMBER, TEXT, TIME, Fields, classes_of

PORT = 8887
SERVICE = "/api.TaskService/"

# Of backend/api/v1beta1/task.proto.
_MESSAGES: dict[str, Fields] = {
    "Task": [
        (1, "id", TEXT), (2, "namespace", TEXT), (3, "pipelineName", TEXT), (4, "runId", TEXT),
        (5, "mlmdExecutionID", TEXT), (6, "created_at", TIME), (7, "finished_at", TIME), (8, "fingerprint", TEXT),
    ],
    "CreateTaskRequest": [(1, "task", ".api.Task")],
    "ListTasksRequest": [
        (1, "page_token", TEXT), (2, "page_size", NUMBER), (3, "sort_by", TEXT), (5, "filter", TEXT),
    ],
    "ListTasksResponse": [(1, "tasks", [".api.Task"]), (2, "next_page_token", TEXT), (3, "total_size", NUMBER)],
}  # fmt: skip


class TaskService:
    """The service.

    Attributes:
        tasks: The recorded tasks, the oldest first.
    """

    def __init__(self, address: str) -> None:
        self._classes = classes_of("api", _MESSAGES)
        self.tasks: list[Any] = []
        self._server = serve(address, PORT, self._method_of)

    def _method_of(self, path: str) -> Method | None:
        return {f"{SERVICE}ListTasksV1": self._listed, f"{SERVICE}CreateTaskV1": self._created}.get(path)

    def _listed(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = self._classes["ListTasksRequest"].FromString(request)
        wanted = {
            one["key"]: one.get("stringValue", one.get("string_value"))
            for one in json.loads(asked.filter).get("predicates", ())
        }
        found = [task for task in self.tasks if all(str(getattr(task, key)) == value for key, value in wanted.items())]
        found.sort(key=lambda task: task.created_at.ToNanoseconds(), reverse=True)
        response = self._classes["ListTasksResponse"](total_size=len(found))
        response.tasks.extend(found[: asked.page_size or 10])
        return bytes(response.SerializeToString())

    def _created(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        task = self._classes["CreateTaskRequest"].FromString(request).task
        task.id = str(len(self.tasks) + 1)
        self.tasks.append(task)
        return bytes(task.SerializeToString())

    def close(self) -> None:
        """Stops serving."""
        self._server.stop(None).wait()
