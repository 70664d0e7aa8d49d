"""Creates classes of protobuf messages from the numbers, names and types of their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto
TEXT, NUMBER, BYTES = _FIELD.TYPE_STRING, _FIELD.TYPE_INT32, _FIELD.TYPE_BYTES
TIME = ".google.protobuf.Timestamp"

Fields = Sequence[tuple[int, str, Any]]
"""Number, name and type of each field. The type of a list is in a list, and that of a message is its name."""


def classes_of(package: str, messages: Mapping[str, Fields]) -> dict[str, Any]:
    """Creates a class for each message of a package."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"kubeflow_rig/{package}.proto", package=package, syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )  # fmt: skip
    for name, fields in messages.items():
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
    return {name: class_of(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}
