from __future__ import annotations

import json
from typing import Any

import pytest
from ml_metadata.proto.metadata_store_pb2 import Artifact

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Thresholds, confidence_shown, judge
from compressor_lib.deployment.model_metrics import ModelMetrics, write_figures
from pipelines.results.node_results import result_of

CHOSEN = {"backbone": "MobileNet", "input_size": 96}
TRIAL = {"connection": "block_5_add->head", "parameters": 112_554, "accuracy": 59 / 60, "score": 0.91}
HISTORY = {"val_accuracy": [0.5, 0.9, 0.7], "best_epoch": [2.0]}


def verdict(**thresholds: float) -> dict[str, Any]:
    """Of 60 images, one of which is predicted wrong."""
    asked = Thresholds(**{"max_drop": 0.02, **thresholds})
    overall = EvalResult.from_counts("", images=60, right=59, confidence=confidence_shown(asked))
    return json.loads(judge(asked, overall, [], "").to_json())


OLD_VERDICT = verdict(min_accuracy=0.5) | {
    "overall": {"name": "", "images": 60, "accuracy": {"value": 59 / 60, "low": None, "high": None},
                "baseline": None, "change": None},
}  # fmt: skip
"""From before there were counts."""


def artifact(uri="", **properties) -> Artifact:
    made = Artifact(uri=str(uri), create_time_since_epoch=1_796_021_995_000)
    for name, value in properties.items():
        field = "string_value" if isinstance(value, str) else "int_value"
        setattr(made.custom_properties[name], field, value)
    return made


@pytest.mark.parametrize(
    ("key", "file", "content", "words"),
    [
        ("tuner_results", "search_report.json", [TRIAL | {"examples": 60}, {}],
         "accuracy 98.3 % (59 of 60, 91.1 to 99.7 %), 112,554 parameters: block_5_add->head"),
        ("tuner_results", "search_report.json", [TRIAL | {"examples": 0}, {}],
         "accuracy 98.3 %, 112,554 parameters: block_5_add->head"),
        ("tuner_results", "search_report.json", [TRIAL | {"hyperparameters": CHOSEN}],
         "accuracy 98.3 %, 112,554 parameters: block_5_add->head of MobileNet, 96 px"),
        ("tuner_results", "search_report.json", [TRIAL, {}], "accuracy 98.3 %, 112,554 parameters: block_5_add->head"),
        ("model_run", "history.json", HISTORY | {"eval_images": [60.0]},
         "accuracy 90.0 % (54 of 60, 79.9 to 95.3 %) on the eval split"),
        ("model_run", "history.json", HISTORY, "accuracy 90.0 % on the eval split"),
        ("evaluation", "verdict.json", verdict(min_accuracy=0.5),
         "blessed, accuracy 98.3 % (59 of 60, 91.1 to 99.7 %) on the test split"),
        ("evaluation", "verdict.json", verdict(min_accuracy=0.99),
         "not blessed, accuracy 98.3 % (59 of 60, 91.1 to 99.7 %) on the test split"),
        ("evaluation", "verdict.json", verdict(min_accuracy=0.5, confidence=0.8),
         "blessed, accuracy 98.3 % (59 of 60, 94.6 to 99.5 %) on the test split"),
        ("evaluation", "verdict.json", OLD_VERDICT,
         "blessed, accuracy 98.3 % (59 of 60, 91.1 to 99.7 %) on the test split"),
        ("anomalies", "data.json", {"images": {"train": {"a": 8, "b": 7}, "test": {"a": 1}}, "anomalies": ["x"]},
         "16 images, 2 classes, 1 anomaly"),
        ("anomalies", "data.json", {"images": {"train": {}}, "anomalies": []}, "no anomalies"),
        ("translators", "manifest.json", {"r2": {"a->b": 0.25, "a->c": 0.5}}, "2 translators, R2 up to 0.50"),
        ("translators", "manifest.json", {"r2": {}}, "no translators"),
    ],
)  # fmt: skip
def test_what_a_node_has_made_is_read_from_its_files(tmp_path, key, file, content, words):
    (tmp_path / file).write_text(json.dumps(content))
    assert result_of({"model": artifact(), key: artifact(tmp_path)}) == words


def converted(folder) -> None:
    exported = folder / "Format-Serving"
    (exported / "assets.extra").mkdir(parents=True)
    sizes = {"reference": 9_000_000, "float32": 1_650_012, "float16": 830_100, "int8": 520_448}
    write_figures(exported, ModelMetrics(412_770, bytes=sizes))


def test_the_converter_tells_its_formats_and_their_bytes(tmp_path):
    converted(tmp_path)
    told = "float32 1,650,012 bytes, float16 830,100 bytes, int8 520,448 bytes"
    assert result_of({"model": artifact(tmp_path)}) == told


def test_a_model_of_which_nothing_is_converted_yet_tells_nothing_of_formats(tmp_path):
    (tmp_path / "Format-Serving" / "assets.extra").mkdir(parents=True)
    write_figures(tmp_path / "Format-Serving", ModelMetrics(412_770))
    assert result_of({"model": artifact(tmp_path)}) == ""


def test_a_node_that_trains_tells_of_its_training_though_it_makes_a_model(tmp_path):
    converted(tmp_path)
    (tmp_path / "history.json").write_text(json.dumps(HISTORY))
    outputs = {"model": artifact(tmp_path), "model_run": artifact(tmp_path)}
    assert result_of(outputs) == "accuracy 90.0 % on the eval split"


def test_what_is_in_an_artifacts_properties():
    assert result_of({"examples": artifact(images=1797, classes=10, skipped=0)}) == "1,797 images, 10 classes"
    assert result_of({"examples": artifact(images=20, classes=2, skipped=3)}) == "20 images, 2 classes, 3 skipped"
    pushed = {"pushed_model": artifact(pushed=1, pushed_destination="/serving/1796021995")}
    assert result_of(pushed) == "version 1796021995"
    assert result_of(pushed, cached=True).startswith("version 1796021995, pushed 2026-11-30 ")
    assert result_of({"pushed_model": artifact(pushed=0)}) == "nothing pushed"


@pytest.mark.parametrize("content", [None, "no JSON", "{}", "[]", "[3]"])
@pytest.mark.parametrize("key", ["tuner_results", "model_run", "evaluation", "anomalies", "translators", "model"])
def test_files_of_another_version_end_no_run(tmp_path, key, content):
    (tmp_path / "Format-Serving" / "assets.extra").mkdir(parents=True)
    figures = "Format-Serving/assets.extra/figures.json"
    for name in (figures, "search_report.json", "history.json", "verdict.json", "data.json", "manifest.json"):
        if content is not None:
            (tmp_path / name).write_text(content)
    assert result_of({key: artifact(tmp_path)}) == ""


@pytest.mark.parametrize("outputs", [{}, {"schema": artifact()}, {"examples": artifact()}])
def test_there_may_be_nothing_to_say(outputs):
    assert result_of(outputs) == ""


def test_the_converter_tells_what_does_not_convert(tmp_path):
    exported = tmp_path / "Format-Serving"
    (exported / "assets.extra").mkdir(parents=True)
    missing = {"int8": "no kernel", "reference": "no kernel"}
    write_figures(exported, ModelMetrics(412_770, bytes={"float32": 1_650_012}, not_converted=missing))
    assert result_of({"model": artifact(tmp_path)}) == "float32 1,650,012 bytes, int8 not converted"
