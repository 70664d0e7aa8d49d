"""What Report gathers from the nodes before it, and where each figure comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_report import made_up_report
from tfx.types import Artifact, standard_artifacts

from components.artifacts.file_names import SEARCH_REPORT_FILE, VERDICT_FILE
from components.artifacts.predictions import MODEL, REFERENCE, ModelPredictions, Predictions, image_key
from components.evaluator.comparison import verdict_of
from components.report import executor
from components.report.data import ReportData
from components.storage.examples import encoded_images, split_patterns
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.export import export_classifier, tflite_path
from compressor_lib.deployment.gate import Thresholds
from compressor_lib.deployment.model_metrics import Latency, ModelMetrics, Speedup, read_figures, write_figures
from compressor_lib.networks.heads import attach_head
from compressor_lib.pretraining.bank import TranslatorBank
from pipelines.config.config import Config

pytestmark = pytest.mark.slow

CLASSES = ["a", "b", "c"]
CONNECTION = "block_2_add->head"
RIGHT = {REFERENCE: 10, MODEL: 9, "float32": 9, "baseline": 11}


def artifact(folder: Path, kind: type[Artifact] = standard_artifacts.Model) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    return made


def predictions(test: str) -> Predictions:
    """Twelve images of which each model is right on the first few; the compressed one has its classes reversed."""
    labels = np.arange(12) % 3
    models = {}
    for name, right in RIGHT.items():
        classes = CLASSES[::-1] if name in (MODEL, "float32") else CLASSES
        named = [CLASSES[label if place < right else (label + 1) % 3] for place, label in enumerate(labels)]
        sure = np.linspace(0.5, 0.9, 12).astype(np.float32)
        models[name] = ModelPredictions(classes, np.array([classes.index(one) for one in named]), sure, 1 - sure)
    return Predictions(CLASSES, labels, [image_key(one) for one in encoded_images(test)], models)


@pytest.fixture
def data(reference, small_backbone, make_examples, tmp_path, monkeypatch) -> ReportData:
    pixels = np.random.default_rng(1).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    examples = make_examples({"test": [pixels]})
    compressed = attach_head(create_submodel(small_backbone(), CONNECTION), 3)
    folder = tmp_path / "compressed" / "Format-Serving"
    export_classifier(compressed, CLASSES[::-1], folder)
    tflite_path(folder).write_bytes(b"made by the Converter")
    metrics = ModelMetrics(
        read_figures(folder).parameters,
        {"reference": Latency(4.0, 3.5, 4.5), "float32": Latency(2.0, 1.8, 2.5)},
        {"float32": Speedup(2.0, 1.6, 2.4)},
        {"reference": 4000, "float32": 1000},
        memory={"reference": 4096, "int8": 2048},
        input_size=16,
    )
    write_figures(folder, metrics)

    evaluation = artifact(tmp_path / "evaluation", standard_artifacts.ModelEvaluation)
    found = predictions(split_patterns(examples, "test"))
    found.write(evaluation.uri)
    Path(evaluation.uri, VERDICT_FILE).write_text(verdict_of(found, Thresholds(0.95, 0.5), "5ha256").to_json())

    results = artifact(tmp_path / "results", standard_artifacts.TunerResults)
    row = {
        "backbone": "small", "input_size": 32, "connection": CONNECTION,
        "parameters": compressed.count_params(), "cost": compressed.count_params(),
        "accuracy": 0.75, "score": 0.7, "within_budget": True, "seconds": 1.0, "hyperparameters": {"lr": 0.01},
    }  # fmt: skip
    Path(results.uri, SEARCH_REPORT_FILE).write_text(json.dumps([row]))
    TranslatorBank.for_backbone(reference.base, {}).save(tmp_path / "bank")
    runs = {key: artifact(tmp_path / key, standard_artifacts.ModelRun) for key in ("reference_run", "compressed_run")}
    for run in runs.values():
        Path(run.uri, executor.HISTORY_FILE).write_text(json.dumps(made_up_report().histories["reference"]))
    pushed = artifact(tmp_path / "pushed", standard_artifacts.PushedModel)
    pushed.set_int_custom_property("pushed", 0)
    monkeypatch.setattr(executor, "summarise_images", lambda *_: made_up_report().data)
    config = Config(
        name="made-up",
        data={"source": "digits"},
        backbone={"name": "MobileNetV2", "weights": "none"},
        gate={"baseline": "blessed"},
        search={"budgets": {"parameters": 10**9}, "backbones": []},
    )
    inputs = {
        "reference": reference.model, "compressed": artifact(tmp_path / "compressed"), "evaluation": evaluation,
        "transformed_examples": examples, "tuner_results": results, "translators": artifact(tmp_path / "bank"),
        "pushed_model": pushed, "examples": examples, "statistics": examples, "anomalies": examples, **runs,
    }  # fmt: skip
    parameters = {"config": config.model_dump_json(), "cost": "parameters", "label_feature": "label"}
    return executor.gather(inputs, parameters, {key: one.uri for key, one in inputs.items()})


def test_figures_are_those_of_the_nodes_before(data):
    # Of the run's reference, not of the older model that is the baseline.
    assert (data.reference.right, data.reference.images) == (10, 12)
    assert (data.compressed.right, data.compressed.images) == (data.verdict.overall.right, 12) == (9, 12)
    assert data.change.value == pytest.approx(-1 / 12)
    assert (data.predictions.lost, data.predictions.gained) == (1, 0)
    assert data.compressed.latency == data.formats["float32"].latency == Latency(2.0, 1.8, 2.5)
    assert data.reference.latency == Latency(4.0, 3.5, 4.5)
    assert (data.reference.memory, data.compressed.memory) == (4096, 2048)
    assert (data.reference.input_size, data.compressed.input_size) == (32, 16)
    assert data.trials[0].costs["latency"] == 2.0
    assert data.trials[0].costs["memory"] == 2.0
    assert data.formats["float32"].file == "model.tflite"


def test_the_images_shown_are_those_that_were_predicted(data):
    assert [one.reference_is_right for one in data.predictions.wrong] == [False, False, True]
    assert [(one.true, one.predicted) for one in data.predictions.wrong] == [("c", "a"), ("b", "c"), ("a", "b")]
    assert all(one.true == one.predicted for one in data.predictions.right)


def test_the_advice_looks_at_the_reference(data):
    assert data.pushed_to is None
    assert data.advice[0].startswith("The reference model itself reaches 83.3 % (10 of 12")
