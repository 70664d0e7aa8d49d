"""Counts of the images of each class, from the statistics of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils

from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_names import natural_order, with_new_classes

NAMED = 10_000
"""Statistics list up to this many classes by name; TFDV's default is 1,000."""


def statistics_options() -> tfdv.StatsOptions:
    """Returns the options for computing statistics.

    Sketches count up to :data:`NAMED` classes exactly. Without sketches, TFDV holds every value in memory, including
    every image.
    """
    return tfdv.StatsOptions(num_rank_histogram_buckets=NAMED, use_sketch_based_topk_uniques=True)


def class_counts(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str, known: Sequence[str] = ()
) -> dict[str, int]:
    """Counts the images of each class.

    Args:
        statistics: TFDV statistics of one split.
        label: Name of the feature with the class names.
        known: Classes with a fixed order, such as those of a model.

    Returns:
        The number of images by class: the known classes in their order, then the others in natural order. Empty if the
        statistics do not list all classes, see :data:`NAMED`.
    """
    (dataset,) = statistics.datasets
    for feature in dataset.features:
        if feature.path.step[:] == [label] or feature.name == label:
            found = feature.string_stats
            counts = {bucket.label: round(bucket.sample_count) for bucket in found.rank_histogram.buckets}
            is_complete = sum(counts.values()) == found.common_stats.tot_num_values
            ordered = [name for name in with_new_classes(known, counts) if name in counts]
            return {name: counts[name] for name in ordered} if is_complete else {}
    return {}


def all_class_counts(statistics: types.Artifact, label: str) -> dict[str, dict[str, int]]:
    """Counts the images of each split and class.

    Args:
        statistics: An artifact of StatisticsGen.
        label: Name of the feature with the class names.

    Returns:
        The counts of :func:`class_counts`, by split.

    Raises:
        CompressorError: If the statistics do not list all classes.
    """
    counts = {}
    for split in artifact_utils.decode_split_names(statistics.split_names):
        found = stats_artifact_utils.load_statistics(statistics, split).proto()
        counts[split] = class_counts(found, label)
        if found.datasets[0].num_examples and not counts[split]:
            raise CompressorError(
                f"split {split!r} has images, but no list of their classes: feature {label!r} must hold a class name, "
                f"and at most {NAMED:,} classes are supported."
            )
    return counts


def moved_most(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Returns the class whose share has changed most.

    Args:
        before: Number of images of each class, from :func:`class_counts`.
        after: The same at a later time.
    """

    def share(counts: Mapping[str, int], name: str) -> float:
        return counts.get(name, 0) / max(1, sum(counts.values()))

    names = natural_order({*before, *after})
    return max(names, key=lambda name: abs(share(after, name) - share(before, name)), default="")


def imbalance(counts: Mapping[str, int]) -> float:
    """Returns the ratio of images in the largest class to images in the smallest class; 1 without images."""
    return max(counts.values()) / max(1, min(counts.values())) if counts else 1.0
