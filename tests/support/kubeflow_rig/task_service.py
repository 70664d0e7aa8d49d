"""The API server's TaskService, in which drivers look cached tasks up and launchers leave theirs."""

from __future__ import annotations

import json
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from kubeflow_rig.grpc_server import Method, serve

PORT = 8887
SERVICE = "/api.TaskService/"

_FIELD = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER = _FIELD.TYPE_STRING, _FIELD.TYPE_INT32
_TIME = ".google.protobuf.Timestamp"
# Of backend/api/v1beta1/task.proto: number, name and type of each field; a list's type is in a list.
_MESSAGES: dict[str, list[tuple[int, str, Any]]] = {
    "Task": [
        (1, "id", _TEXT), (2, "namespace", _TEXT), (3, "pipelineName", _TEXT), (4, "runId", _TEXT),
        (5, "mlmdExecutionID", _TEXT), (6, "created_at", _TIME), (7, "finished_at", _TIME), (8, "fingerprint", _TEXT),
    ],
    "CreateTaskRequest": [(1, "task", ".api.Task")],
    "ListTasksRequest": [
        (1, "page_token", _TEXT), (2, "page_size", _NUMBER), (3, "sort_by", _TEXT), (5, "filter", _TEXT),
    ],
    "ListTasksResponse": [(1, "tasks", [".api.Task"]), (2, "next_page_token", _TEXT), (3, "total_size", _NUMBER)],
}  # fmt: skip


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="kubeflow_rig/task.proto", package="api", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, key, kind in fields:
            is_list = isinstance(kind, list)
            field = message.field.add(name=key, number=number)
            field.label = _FIELD.LABEL_REPEATED if is_list else _FIELD.LABEL_OPTIONAL
            kind = kind[0] if is_list else kind
            field.type = _FIELD.TYPE_MESSAGE if isinstance(kind, str) else kind
            if isinstance(kind, str):
                field.type_name = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    class_of = getattr(message_factory, "GetMessageClass", None) or message_factory.MessageFactory(pool).GetPrototype
    return {name: class_of(pool.FindMessageTypeByName(f"api.{name}")) for name in _MESSAGES}


class TaskService:
    """The service.

    Attributes:
        tasks: What launchers left, the oldest first.
    """

    def __init__(self, address: str) -> None:
        self._classes = _classes()
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
