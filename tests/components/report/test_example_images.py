from __future__ import annotations

from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts.data_summary import DataSummary
from components.artifacts.file_names import SUMMARY_FILE
from components.report.example_images import summarise_images


def test_images_are_counted_in_the_order_of_the_models_outputs(tmp_path):
    """The class "apron" came later, and is the last output."""
    statistics, anomalies = standard_artifacts.ExampleStatistics(), standard_artifacts.ExampleAnomalies()
    statistics.uri = anomalies.uri = str(tmp_path)
    statistics.split_names = artifact_utils.encode_split_names(["train", "test"])
    for split in ("train", "test"):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        counted = found.datasets.add(num_examples=6)
        label = counted.features.add(path={"step": ["label"]}, string_stats={"common_stats": {"tot_num_values": 6}})
        for name, count in (("shirt", 3), ("hat", 2), ("apron", 1)):
            label.string_stats.rank_histogram.buckets.add(label=name, sample_count=count)
        folder = tmp_path / f"Split-{split}"
        folder.mkdir()
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())
    Path(tmp_path, SUMMARY_FILE).write_text(DataSummary(imbalance=3.0).to_json())

    summary = summarise_images(standard_artifacts.Examples(), statistics, anomalies, "label", ["hat", "shirt", "apron"])

    assert summary.totals == {"train": 6, "test": 6}
    assert [list(counts) for counts in summary.images.values()] == [["hat", "shirt", "apron"]] * 2
