from __future__ import annotations

import json
import pathlib

import pandas
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts.class_counts import (
    NAMED,
    all_class_counts,
    class_counts,
    imbalance,
    moved_most,
    statistics_options,
)
from components.artifacts.class_list import write_class_list
from components.artifacts.file_names import SUMMARY_FILE
from components.example_validator import ExampleValidator
from components.example_validator.executor import Executor
from components.left_out import LEFT_OUT, describe_left_out
from components.node_options import AnomalyOptions
from compressor_lib.errors import CompressorError

EVEN = {"cat": 40, "dog": 40}
MORE_DOGS = {"cat": 40, "dog": 120}


def statistics_of(counts: dict[str, int]):
    frame = pandas.DataFrame({"label": [name for name, count in counts.items() for _ in range(count)]})
    return tfdv.generate_statistics_from_dataframe(frame, statistics_options())


@pytest.fixture
def make(tmp_path):
    """Makes artifacts of statistics: ``make("name", span, {"train": {"cat": 3}})``."""

    def make(name: str, span: int, splits: dict[str, dict[str, int]]) -> types.Artifact:
        artifact = standard_artifacts.ExampleStatistics()
        artifact.uri = str(tmp_path / name)
        artifact.span = span
        artifact.split_names = artifact_utils.encode_split_names(list(splits))
        for split, counts in splits.items():
            folder = tmp_path / name / f"Split-{split}"
            folder.mkdir(parents=True)
            (folder / "FeatureStats.pb").write_bytes(statistics_of(counts).SerializeToString())
        return artifact

    return make


@pytest.fixture
def validate(make, tmp_path):
    """Runs the component on counts by class, before and now; returns its summary and its output."""

    def validate(
        before: dict[str, int] | None,
        now: dict[str, int],
        left_out: str = "",
        known: list[str] | None = None,
        **options,
    ) -> tuple[dict, types.Artifact]:
        statistics = make("now", 3, {"train": now, "eval": EVEN})
        previous = make("before", 2, {} if before is None else {"train": before})
        schema = standard_artifacts.Schema()
        schema.uri = str(tmp_path / "schema")
        pathlib.Path(schema.uri).mkdir()
        tfdv.write_schema_text(tfdv.infer_schema(statistics_of({**now, **EVEN})), f"{schema.uri}/schema.pbtxt")
        examples = standard_artifacts.Examples()
        if left_out:
            examples.set_string_custom_property(LEFT_OUT, left_out)
        channels = {
            "statistics": statistics, "schema": schema, "examples": examples, "previous_statistics": previous,
        }  # fmt: skip
        if known is not None:
            channels["previous_classes"] = standard_artifacts.Schema()
            channels["previous_classes"].uri = str(tmp_path / "classes")
            write_class_list(channels["previous_classes"].uri, known)
        given = {name: types.Channel(type=type(artifact)) for name, artifact in channels.items()}
        node = ExampleValidator(**given, label="label", **options)
        anomalies = standard_artifacts.ExampleAnomalies()
        anomalies.uri = str(tmp_path / "anomalies")
        Executor().Do(
            {name: [artifact] for name, artifact in channels.items()}, {"anomalies": [anomalies]}, node.exec_properties
        )
        return json.loads((tmp_path / "anomalies" / SUMMARY_FILE).read_text()), anomalies

    return validate


def test_files_left_out_are_in_the_summary(validate):
    summary, _ = validate(None, EVEN, describe_left_out([".heic", ".heic"], {".txt": 3}))
    assert (summary["left_out"], summary["others"]) == ({".heic": 2}, {".txt": 3})


def test_other_example_gens_leave_nothing_out(validate):
    summary, _ = validate(None, EVEN)
    assert (summary["left_out"], summary["others"]) == ({}, {})


def blessed(anomalies: types.Artifact) -> dict[str, int]:
    return anomalies.get_json_value_custom_property("blessed")


def test_the_first_run_has_nothing_to_compare_with(validate):
    summary, anomalies = validate(None, MORE_DOGS)
    assert summary["anomalies"] == []
    assert (summary["drift"], summary["previous_images"]) == (None, {})
    assert blessed(anomalies) == {"train": 1, "eval": 1}


def test_images_and_imbalance_are_logged(validate, caplog):
    caplog.set_level("INFO")
    summary, _ = validate(None, MORE_DOGS)
    assert summary["images"] == {"train": MORE_DOGS, "eval": EVEN}
    assert summary["imbalance"] == 3
    few, many = MORE_DOGS["cat"], MORE_DOGS["dog"]
    assert f"{few + many} training images of 2 classes, from {few} of 'cat' to {many} of 'dog'" in caplog.messages


def test_images_of_equal_classes_are_logged_once(validate, caplog):
    caplog.set_level("INFO")
    validate(None, EVEN)
    assert f"{2 * EVEN['cat']} training images of 2 classes, {EVEN['cat']} of each" in caplog.messages


def test_drift_beyond_the_limit_is_an_anomaly_of_the_training_split(validate, caplog):
    summary, anomalies = validate(EVEN, MORE_DOGS, options=AnomalyOptions(max_drift=0.2))
    (sentence,) = summary["anomalies"]
    assert sentence.startswith("the share of class 'cat' has changed by 25.0 points since the previous run")
    assert summary["drift"] == pytest.approx(0.25)
    assert summary["previous_images"] == EVEN
    assert f"anomaly: {sentence}" in caplog.text
    assert blessed(anomalies) == {"train": 0, "eval": 1}
    written = (pathlib.Path(anomalies.uri) / "Split-train" / "SchemaDiff.pb").read_bytes()
    (reason,) = anomalies_pb2.Anomalies.FromString(written).anomaly_info["label"].reason
    assert reason.type == anomalies_pb2.AnomalyInfo.COMPARATOR_L_INFTY_HIGH


def test_drift_within_the_limit_is_no_anomaly(validate):
    summary, anomalies = validate(EVEN, MORE_DOGS, options=AnomalyOptions(max_drift=0.3))
    assert summary["drift"] == pytest.approx(0.25)
    assert summary["anomalies"] == []
    assert blessed(anomalies) == {"train": 1, "eval": 1}


def test_classes_that_come_and_go_are_anomalies(validate):
    summary, anomalies = validate({"cat": 40, "dog": 40, "eel": 4}, {"cat": 40, "dog": 40, "fox": 4})
    assert (summary["new_classes"], summary["missing_classes"]) == (["fox"], ["eel"])
    assert summary["anomalies"] == [
        "new class 'fox' compared with the previous run",
        "missing class 'eel' compared with the previous run",
    ]
    assert blessed(anomalies)["train"] == 0


@pytest.mark.parametrize("before", [None, {"cat": 40, "dog": 40, "eel": 4}, EVEN])
def test_pushed_class_without_images_is_an_anomaly_with_a_fix(validate, before):
    summary, anomalies = validate(before, EVEN, known=["dog", "eel", "cat"])
    (sentence,) = summary["anomalies"]
    assert sentence == (
        "class 'eel' of the pushed model has no images: it keeps its output, untrained. "
        """To remove it: --set 'data.removed_classes=["eel"]'"""
    )
    assert blessed(anomalies)["train"] == 0


def test_several_pushed_classes_without_images_are_one_anomaly(validate):
    summary, _ = validate(EVEN, EVEN, known=["dog", "eel10", "cat", "eel9"], removed_classes=["eel9"])
    assert len(summary["anomalies"]) == 1
    assert """--set 'data.removed_classes=["eel9", "eel10"]'""" in summary["anomalies"][0]


def test_a_class_that_is_removed_is_no_anomaly(validate):
    before = {"cat": 40, "dog": 40, "eel": 4}
    summary, _ = validate(before, EVEN, known=["dog", "eel", "cat"], removed_classes=["eel"])
    assert summary["anomalies"] == []


def test_class_that_was_never_pushed_is_missing(validate):
    summary, _ = validate({"cat": 40, "dog": 40, "eel": 4}, EVEN, known=["dog", "cat"])
    assert summary["anomalies"] == ["missing class 'eel' compared with the previous run"]


def test_an_anomaly_stops_the_run_on_request(validate):
    with pytest.raises(CompressorError, match=r"data\.on_anomaly is stop: the share of class 'cat'.*on_anomaly=warn"):
        validate(EVEN, MORE_DOGS, options=AnomalyOptions(on_anomaly="stop"))


def test_valid_data_does_not_stop_the_run(validate):
    assert validate(EVEN, EVEN, options=AnomalyOptions(on_anomaly="stop"))[0]["anomalies"] == []


def test_no_comparison_without_a_previous_run():
    given = {name: types.Channel(type=kind) for name, kind in (
        ("statistics", standard_artifacts.ExampleStatistics), ("schema", standard_artifacts.Schema),
    )}  # fmt: skip
    assert set(ExampleValidator(**given, label="label").inputs) == {"statistics", "schema"}


class TestClasses:
    def test_too_many_classes_are_not_counted(self):
        assert class_counts(statistics_of({f"class {number}": 1 for number in range(NAMED + 1)}), "label") == {}

    def test_thousands_of_classes_are_counted(self):
        counts = {f"class {number}": 1 + number % 3 for number in range(2000)}
        assert list(class_counts(statistics_of(counts), "label").items()) == list(counts.items())

    def test_known_classes_keep_their_order(self):
        counted = class_counts(statistics_of({"a": 1, "c10": 2, "c9": 3, "z": 4}), "label", ["z", "gone", "a"])
        assert list(counted.items()) == [("z", 4), ("a", 1), ("c9", 3), ("c10", 2)]

    def test_too_many_classes_are_rejected(self, make):
        statistics = make("many", 1, {"train": {f"class {number}": 1 for number in range(NAMED + 1)}})
        with pytest.raises(CompressorError, match="'train' has images, but no list of their classes: .*10,000 classes"):
            all_class_counts(statistics, "label")

    def test_a_list_of_all_splits(self, make):
        splits = {"train": {"b": 2, "a": 1}, "eval": {"a": 1}}
        assert all_class_counts(make("few", 1, splits), "label") == splits

    def test_imbalance_of_nothing_is_none(self):
        assert imbalance({}) == 1
        assert imbalance({"a": 6, "b": 4}) == 1.5

    def test_class_whose_share_changed_most(self):
        assert moved_most({"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 2}) == "c"
