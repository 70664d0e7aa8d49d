"""The executor of ExampleValidator."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator.executor import ARTIFACT_PROPERTY_BLESSED_KEY, DEFAULT_FILE_NAME
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, writer_utils

from components.artifacts.class_counts import class_counts, imbalance, moved_most
from components.artifacts.class_list import gone_classes, how_to_remove, read_class_list
from components.artifacts.data_summary import DataSummary
from components.artifacts.file_names import SUMMARY_FILE
from components.left_out import read_left_out
from components.node_options import AnomalyOptions
from components.options import from_parameter
from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_names import natural_order

logger = logging.getLogger(__name__)

_COMPARED = "train"
_DRIFT = anomalies_pb2.AnomalyInfo.COMPARATOR_L_INFTY_HIGH
_NEW, _MISSING = "new class", "missing class"


class Executor(base_executor.BaseExecutor):
    """Detects anomalies and, on request, stops the run."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.example_validator.component.ExampleValidator`.

        Raises:
            CompressorError: If there is an anomaly and ``on_anomaly`` is ``"stop"``.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        (statistics,) = input_dict["statistics"]
        (anomalies,) = output_dict["anomalies"]
        schema_dir = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_dir))
        label, options = exec_properties["label"], from_parameter(AnomalyOptions, exec_properties["options"])
        removed = json.loads(exec_properties["removed_classes"])
        tfdv.get_feature(schema, label).drift_comparator.infinity_norm.threshold = options.max_drift
        before, summary = None, DataSummary()
        for examples in input_dict.get("examples", []):
            counts = read_left_out(examples)
            summary.left_out, summary.others = counts.images, counts.others
        for previous in input_dict.get("previous_statistics", []):
            if _COMPARED in artifact_utils.decode_split_names(previous.split_names):
                before = stats_artifact_utils.load_statistics(previous, _COMPARED).proto()

        splits = artifact_utils.decode_split_names(statistics.split_names)
        anomalies.split_names, anomalies.span = artifact_utils.encode_split_names(splits), statistics.span
        blessed = {}
        now = {split: stats_artifact_utils.load_statistics(statistics, split).proto() for split in splits}
        summary.images = {split: class_counts(counted, label) for split, counted in now.items()}
        gone = []
        for known in input_dict.get("previous_classes", []):
            if all(summary.images.values()):  # otherwise there are too many to list, or none
                gone = gone_classes(summary.images, read_class_list(known.uri), removed)
        for split, counted in now.items():
            previous = before if split == _COMPARED else None
            found = tfdv.validate_statistics(counted, schema, previous_statistics=previous)
            if previous is not None:
                _compare(summary, found, class_counts(previous, label), label)
            if split == _COMPARED:
                _add_classes(summary, found, label, gone, removed)
            summary.anomalies += _sentences(found, split, summary, options.max_drift)
            directory = artifact_utils.get_split_uri([anomalies], split)
            writer_utils.write_anomalies(os.path.join(directory, DEFAULT_FILE_NAME), found)
            blessed[split] = int(not found.anomaly_info and not found.HasField("dataset_anomaly_info"))
        anomalies.set_json_value_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY, blessed)
        summary.imbalance = imbalance(summary.images.get(_COMPARED, {}))
        io_utils.write_string_file(os.path.join(anomalies.uri, SUMMARY_FILE), summary.to_json())
        _log_summary(summary)
        if summary.anomalies and options.on_anomaly == "stop":
            raise CompressorError(
                f"the data has anomalies, and data.on_anomaly is stop: {'; '.join(summary.anomalies)}. "
                "Fix the data, or set data.on_anomaly=warn to train on it anyway."
            )


def _compare(summary: DataSummary, found: anomalies_pb2.Anomalies, before: Mapping[str, int], label: str) -> None:
    """Records the changes since the previous run."""
    summary.previous_images = dict(before)
    for info in found.drift_skew_info:
        if info.path.step[:] == [label]:
            summary.drift = max(measurement.value for measurement in info.drift_measurements)
    now = summary.images[_COMPARED]
    if now and before:
        summary.new_classes = natural_order(now.keys() - before.keys())
        summary.missing_classes = natural_order(before.keys() - now.keys())


def _add_classes(
    summary: DataSummary, found: anomalies_pb2.Anomalies, label: str, gone: Sequence[str], removed: Sequence[str]
) -> None:
    """Adds new and missing classes to TFDV's anomalies."""
    reported = {*gone, *removed}
    sentences = [(_NEW, f"{_NEW} {name!r} compared with the previous run") for name in summary.new_classes]
    sentences += [
        (_MISSING, f"{_MISSING} {name!r} compared with the previous run")
        for name in summary.missing_classes
        if name not in reported
    ]
    if gone:
        names, remove = ", ".join(map(repr, gone)), how_to_remove(gone, removed)
        sentence = (
            f"class {names} of the pushed model has no images: it keeps its output, untrained. To remove it: {remove}"
            if len(gone) == 1
            else f"classes {names} of the pushed model have no images: they keep their outputs, "
            f"untrained. To remove them: {remove}"
        )
        sentences.append((_MISSING, sentence))
    for words, sentence in sentences:
        reason = found.anomaly_info[label].reason.add()
        reason.short_description, reason.description = words, sentence


def _sentences(found: anomalies_pb2.Anomalies, split: str, summary: DataSummary, max_drift: float) -> list[str]:
    sentences = []
    for feature, info in sorted(found.anomaly_info.items()):
        for reason in info.reason:
            if reason.type == _DRIFT:
                name = moved_most(summary.previous_images, summary.images[split])
                sentences.append(
                    f"the share of class {name!r} has changed by {100 * (summary.drift or 0):.1f} points since "
                    f"the previous run, but data.max_drift allows {100 * max_drift:g}"
                )
            elif reason.short_description in (_NEW, _MISSING):
                sentences.append(reason.description)
            else:
                sentences.append(f"{feature} in split {split}: {reason.description}")
    sentences += [f"split {split}: {reason.description}" for reason in found.dataset_anomaly_info.reason]
    return sentences


def _log_summary(summary: DataSummary) -> None:
    """Logs the summary in a few lines."""
    counts = summary.images.get(_COMPARED, {})
    if counts:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        each = f"from {counts[few]} of {few!r} to {counts[many]} of {many!r}"
        if counts[few] == counts[many]:
            each = f"{counts[few]} of each"
        logger.info("%d training images of %d classes, %s", sum(counts.values()), len(counts), each)
    for sentence in summary.anomalies:
        logger.warning("anomaly: %s", sentence)
