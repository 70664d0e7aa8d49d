"""A summary of a run's images: counts by class, files left out and anomalies."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.artifacts.class_counts import class_counts
from components.artifacts.file_names import SUMMARY_FILE
from components.report.data import RunData


def summarise_images(
    examples: types.Artifact,
    statistics: types.Artifact,
    anomalies: types.Artifact,
    label: str,
    classes: Sequence[str],
) -> RunData:
    """Summarises the results of earlier nodes on the data.

    Args:
        examples: Output of the ExampleGen.
        statistics: Output of StatisticsGen.
        anomalies: Output of ExampleValidator.
        label: Feature with the class name.
        classes: Classes of the model, in the order of its outputs. The summary has the same order.
    """
    images, totals = {}, {}
    for split in artifact_utils.decode_split_names(statistics.split_names):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        found.ParseFromString(_read(statistics, f"Split-{split}", "FeatureStats.pb"))
        totals[split] = int(found.datasets[0].num_examples)
        images[split] = class_counts(found, label, classes)
    noted = json.loads(_read(anomalies, SUMMARY_FILE))
    looked_for = examples.has_custom_property("duplicates")
    skipped_files = examples.get_string_custom_property("skipped_files")
    return RunData(
        **{**noted, "images": images},
        totals=totals,
        skipped=int(examples.get_int_custom_property("skipped")),
        skipped_files=json.loads(skipped_files) if skipped_files else [],
        duplicates=int(examples.get_int_custom_property("duplicates")) if looked_for else None,
        duplicates_left_out=int(examples.get_int_custom_property("duplicates_left_out")) if looked_for else 0,
    )


def _read(artifact: types.Artifact, *path: str) -> bytes:
    with fileio.open(os.path.join(artifact.uri, *path), "rb") as content:
        return bytes(content.read())
