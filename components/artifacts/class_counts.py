"""The classes of a data set, as its statistics tell of them."""

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
"""Statistics name each class if there are no more; TFDV's default is 1,000."""


def statistics_options() -> tfdv.StatsOptions:
    """How statistics are made.

    By sketches, which count up to :data:`NAMED` classes exactly. Without them TFDV holds every value in memory, every
    image too.
    """
    return tfdv.StatsOptions(num_rank_histogram_buckets=NAMED, use_sketch_based_topk_uniques=True)


def class_counts(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str, known: Sequence[str] = ()
) -> dict[str, int]:
    """Counts the images of each class.

    Args:
        statistics: Of one split, by TFDV.
        label: Name of the feature with the class names.
        known: Classes whose order is fixed, such as a model's.

    Returns:
        The number of images by class, the known ones in their order, then the others in the natural order of their
        names. Empty where the statistics do not name all classes, see :data:`NAMED`.
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
        statistics: An artifact of StatisticsGen's.
        label: Name of the feature with the class names.

    Returns:
        As :func:`class_counts`, by split.

    Raises:
        CompressorError: If the statistics do not name all classes.
    """
    counts = {}
    for split in artifact_utils.decode_split_names(statistics.split_names):
        found = stats_artifact_utils.load_statistics(statistics, split).proto()
        counts[split] = class_counts(found, label)
        if found.datasets[0].num_examples and not counts[split]:
            raise CompressorError(
                f"split {split!r} has images, but no list of their classes: feature {label!r} must hold a class name, "
                f"and there may be {NAMED:,} classes at most."
            )
    return counts


def moved_most(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The class whose share has changed most.

    Args:
        before: Images of each class, as :func:`class_counts` gives them.
        after: Likewise, later.
    """

    def share(counts: Mapping[str, int], name: str) -> float:
        return counts.get(name, 0) / max(1, sum(counts.values()))

    names = natural_order({*before, *after})
    return max(names, key=lambda name: abs(share(after, name) - share(before, name)), default="")


def imbalance(counts: Mapping[str, int]) -> float:
    """How many times as many images the largest class has as the smallest; 1 where there are none."""
    return max(counts.values()) / max(1, min(counts.values())) if counts else 1.0
