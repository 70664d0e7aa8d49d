"""The ExampleGen's driver on platforms: finds the newest spans, and whether there is new data.

It replaces TFX's own (``file_based_example_gen.driver``), whose fingerprint of an image folder covers neither the names
of the images nor images that are already split. Vertex AI runs it before the node, and its result is part of the cache
key. On Kubeflow, the node NewData (:mod:`pipelines.kubeflow.probe`) does the same.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components.example_gen import driver, utils
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as entrypoint_utils
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.image_example_gen.dataset_layout import IMAGES_PATTERN
from components.image_example_gen.driver import NamesInputProcessor
from components.storage.spans import InputProcessor
from pipelines.kubeflow.executor import redact_output


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the ExecutorOutput of a task."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.example_gen_driver", description=__doc__)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    known, _ = parser.parse_known_args(arguments)
    task = pipeline_spec_pb2.ExecutorInput()
    json_format.Parse(known.json_serialized_invocation_args, task, ignore_unknown_fields=True)
    spec = pipeline_spec_pb2.ComponentInputsSpec()
    json_format.Parse(known.json_serialized_inputs_spec_args, spec, ignore_unknown_fields=True)
    output = resolved(task, spec)
    fileio.makedirs(os.path.dirname(task.outputs.output_file))
    with fileio.open(task.outputs.output_file, "w") as file:
        file.write(json_format.MessageToJson(output, sort_keys=True))


def resolved(
    task: pipeline_spec_pb2.ExecutorInput, spec: pipeline_spec_pb2.ComponentInputsSpec
) -> pipeline_spec_pb2.ExecutorOutput:
    """Finds the data that a task is to read.

    Args:
        task: The platform's ExecutorInput.
        spec: The types of its inputs.

    Returns:
        The span, the fingerprint and the patterns without ``{SPAN}``, both as parameters and as metadata of the
        Examples.

    Raises:
        CompressorError: If there is no span.
    """
    given = task.inputs.parameter_values
    properties = entrypoint_utils.parse_execution_properties(given, task.inputs.parameters, spec)
    names: dict[int, str] = {}
    outputs = entrypoint_utils.parse_raw_artifact_dict(task.outputs.artifacts, names)
    examples = artifact_utils.get_single_instance(outputs[standard_component_specs.EXAMPLES_KEY])

    data = found_data(
        properties[standard_component_specs.INPUT_BASE_KEY],
        properties[standard_component_specs.INPUT_CONFIG_KEY],
        properties.get(standard_component_specs.RANGE_CONFIG_KEY),
    )
    properties |= {
        utils.SPAN_PROPERTY_NAME: data.span,
        utils.VERSION_PROPERTY_NAME: data.version,
        utils.FINGERPRINT_PROPERTY_NAME: data.fingerprint,
        standard_component_specs.INPUT_CONFIG_KEY: data.input_config,
    }
    driver.update_output_artifact(exec_properties=properties, output_artifact=examples.mlmd_artifact)

    output = pipeline_spec_pb2.ExecutorOutput()
    values = output.parameter_values
    values[utils.SPAN_PROPERTY_NAME].number_value = data.span
    values[utils.FINGERPRINT_PROPERTY_NAME].string_value = data.fingerprint
    if data.version is not None:
        values[utils.VERSION_PROPERTY_NAME].number_value = data.version
    values[standard_component_specs.INPUT_CONFIG_KEY].string_value = data.input_config
    artifact = output.artifacts[standard_component_specs.EXAMPLES_KEY].artifacts.add()
    artifact.CopyFrom(entrypoint_utils.to_runtime_artifact(examples, names))
    return output


@dataclass(frozen=True)
class Data:
    """The data that an ExampleGen is to read.

    Attributes:
        span: Number of the newest span; 0 if there are no spans.
        version: Its version; None if there are no versions.
        fingerprint: Fingerprint of all files to read.
        input_config: The ``Input`` as JSON, with patterns without ``{SPAN}``.
    """

    span: int
    version: int | None
    fingerprint: str
    input_config: str


def found_data(input_base: str, input_config: str, range_config: str | None) -> Data:
    """Finds the newest spans.

    Args:
        input_base: The data folder.
        input_config: An ``Input`` as JSON.
        range_config: A ``RangeConfig`` as JSON; None or empty for the newest span only.

    Raises:
        CompressorError: If there is no span.
    """
    config, window = example_gen_pb2.Input(), range_config_pb2.RangeConfig()
    proto_utils.json_to_proto(input_config, config)
    if range_config:
        proto_utils.json_to_proto(range_config, window)
    of_images = all(split.pattern.endswith(IMAGES_PATTERN) for split in config.splits)
    kind = NamesInputProcessor if of_images else InputProcessor
    processor = kind(input_base, config.splits, window)
    span, version = processor.resolve_span_and_version()
    fingerprint = processor.get_input_fingerprint(span, version)
    for split in config.splits:
        split.pattern = processor.get_pattern_for_span_version(split.pattern, span, version)
    return Data(span, version, fingerprint, proto_utils.proto_to_json(config))


if __name__ == "__main__":
    redact_output()
    main()
