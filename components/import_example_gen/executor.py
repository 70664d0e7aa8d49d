"""Reads the TFRecords of several spans and splits them by class."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.example_gen import base_example_gen_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.custom_options import unpacked_options
from components.import_example_gen.record_files import record_files
from components.import_example_gen.records import parse_example, read_records
from components.import_example_gen.stratified import Cuts, cut, digest_of
from components.left_out import LEFT_OUT, describe_left_out
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

CLASSES_FILE = "classes.jsonl"
_SHOWN = 5


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Writes a data folder's Examples. Each class of each span is split by the shares."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Not used: ``GenerateExamplesByBeam`` reads the files, twice."""
        raise NotImplementedError

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.pvalue.PCollection]:
        """Builds the pipeline from files to one collection of Examples per split.

        Each class of each span is split separately, in the order of its records' hashes. So every split gets its share
        of each class, and a record stays in its split while a window of spans moves on. Only hashes are grouped; the
        records are read a second time when they are written.

        Args:
            pipeline: The Beam pipeline.
            exec_properties: The component's execution properties.

        Returns:
            A collection of ``tf.train.Example`` for every split.
        """
        cuts = (
            pipeline
            | "Files" >> beam.Create(self._files)
            | "Spread" >> beam.Reshuffle()
            | "Hash" >> beam.ParDo(_Hash(self._label))
            | "GroupByClass" >> beam.GroupByKey()
            | "Cut" >> beam.Map(lambda grouped, shares: (grouped[0], cut(grouped[1], shares)), self._shares)
        )
        parts = (
            pipeline
            | "FilesAgain" >> beam.Create(self._files)
            | "SpreadAgain" >> beam.Reshuffle()
            | "Deal" >> beam.ParDo(_SplitRecords(self._label), beam.pvalue.AsDict(cuts)).with_outputs(*self._shares)
        )
        by_split = {split: parts[split] for split in self._shares}
        counted = [
            part
            | f"Class[{split}]"
            >> beam.Map(lambda example, label, split: (_name(example, label), split), self._label, split)
            for split, part in by_split.items()
        ]
        _ = (
            counted
            | "FlattenClasses" >> beam.Flatten()
            | "Count" >> beam.combiners.Count.PerElement()
            | "ToJson" >> beam.MapTuple(lambda one, count: json.dumps([*one, count]))
            | "WriteCounts" >> beam.io.WriteToText(self._classes_file, num_shards=1, shard_name_template="")
        )
        return by_split

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits.

        Args:
            input_dict: Empty.
            output_dict: ``examples``, the artifact to write.
            exec_properties: The stock properties of a file-based ExampleGen. ``custom_config`` holds a
                ``google.protobuf.Struct`` with the component's other parameters.

        Raises:
            CompressorError: If there are no records, a record is unreadable or has no label, or a class has too few
                records for the splits. No split is left behind.
        """
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        inputs, outputs = example_gen_pb2.Input(), example_gen_pb2.Output()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], inputs)
        proto_utils.json_to_proto(exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], outputs)
        self._shares = {one.name: one.hash_buckets for one in outputs.split_config.splits}
        self._label = unpacked_options(exec_properties)["label"]
        self._classes_file = os.path.join(examples.uri, CLASSES_FILE)
        input_base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        self._files, others = record_files(input_base, inputs.splits[0].pattern)

        super().Do(input_dict, output_dict, exec_properties)

        with fileio.open(self._classes_file) as file:
            counts = [json.loads(line) for line in file.read().splitlines()]
        by_class: dict[str, Counter[str]] = {}
        for label, split, count in counts:
            by_class.setdefault(label, Counter())[split] += count
        try:
            _check_classes(input_base, by_class, self._shares)
        except CompressorError:
            for split in self._shares:
                fileio.rmtree(artifact_utils.get_split_uri([examples], split))
            raise
        examples.set_string_custom_property(LEFT_OUT, describe_left_out([], others))


class _Hash(beam.DoFn):
    """Maps ``(span's folder, file)`` to ``((folder, class), hash)`` of every record."""

    def __init__(self, label: str) -> None:
        self._label = label

    def process(self, file: tuple[str, str]) -> Iterator[tuple[tuple[str, str], bytes]]:
        folder, path = file
        for record, _, name in _examples(path, self._label):
            yield (folder, name), digest_of(record)


class _SplitRecords(beam.DoFn):
    """Maps ``(span's folder, file)`` to Examples, tagged with their splits."""

    def __init__(self, label: str) -> None:
        self._label = label

    def process(
        self, file: tuple[str, str], cuts: Mapping[tuple[str, str], Cuts]
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        folder, path = file
        for record, example, name in _examples(path, self._label):
            try:
                split = cuts[folder, name].split_of(digest_of(record))
            except LookupError as error:
                raise CompressorError(
                    f"{path!r} changed while it was read: run again when the data folder does not change."
                ) from error
            yield beam.pvalue.TaggedOutput(split, example)


def _examples(path: str, label: str) -> Iterator[tuple[bytes, tf.train.Example, str]]:
    for number, record in enumerate(read_records(path), start=1):
        yield record, *parse_example(record, label, f"record {number} of {path!r}")


def _name(example: tf.train.Example, label: str) -> str:
    return bytes(example.features.feature[label].bytes_list.value[0]).decode()


def _check_classes(input_base: str, by_class: Mapping[str, Counter[str]], shares: Mapping[str, int]) -> None:
    if len(by_class) == 1:
        raise CompressorError(
            f"the records in {input_base!r} have only one class, {min(by_class)!r}. A classifier needs at least two."
        )
    lacking = {
        label: counts for label, counts in sorted(by_class.items()) if any(not counts[split] for split in shares)
    }
    if lacking:
        shown = [
            f"{label!r} has {counts.total()} ({', '.join(f'{split} {counts[split]}' for split in shares)})"
            for label, counts in list(lacking.items())[:_SHOWN]
        ]
        more = ", ..." if len(lacking) > _SHOWN else ""
        raise CompressorError(
            f"{len(lacking)} of {len(by_class)} classes have too few Examples for the splits, not counting copies: "
            f"class {', '.join(shown)}{more}. Each needs one for each of the splits {', '.join(shares)}: add images or "
            "remove the class."
        )
