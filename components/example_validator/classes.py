"""The classes of a data set, as its statistics tell of them."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import statistics_pb2


def class_counts(statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str) -> dict[str, int]:
    """Counts the pictures of each class.

    Args:
        statistics: Of one split, by TFDV.
        label: Name of the feature with the class names.

    Returns:
        The number of pictures by class, in the order of their names. Empty where the statistics do not name all
        classes, which TFDV does up to 1,000.
    """
    (dataset,) = statistics.datasets
    for feature in dataset.features:
        if feature.path.step[:] == [label] or feature.name == label:
            found = feature.string_stats
            counts = {bucket.label: round(bucket.sample_count) for bucket in found.rank_histogram.buckets}
            return dict(sorted(counts.items())) if len(counts) == found.unique else {}
    return {}


def moved_most(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """The class whose share has changed most.

    Args:
        before: Pictures of each class, as :func:`class_counts` gives them.
        after: Likewise, later.
    """

    def share(counts: Mapping[str, int], name: str) -> float:
        return counts.get(name, 0) / max(1, sum(counts.values()))

    return max(sorted({*before, *after}), key=lambda name: abs(share(after, name) - share(before, name)), default="")


def imbalance(counts: Mapping[str, int]) -> float:
    """How many times as many pictures the largest class has as the smallest; 1 where there are none."""
    return max(counts.values()) / max(1, min(counts.values())) if counts else 1.0
