"""A component's own options in the ``custom_config`` of a file-based ExampleGen, whose parameters TFX defines."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils


def packed_options(**options: float | str) -> example_gen_pb2.CustomConfig:
    """Packs options into TFX's ``custom_config``."""
    struct = struct_pb2.Struct()
    struct.update(options)
    config = example_gen_pb2.CustomConfig()
    config.custom_config.Pack(struct)
    return config


def unpacked_options(exec_properties: dict[str, Any]) -> dict[str, Any]:
    """Returns the options from an executor's parameters. Numbers are returned as float."""
    config, options = example_gen_pb2.CustomConfig(), struct_pb2.Struct()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], config)
    config.custom_config.Unpack(options)
    return dict(options)
