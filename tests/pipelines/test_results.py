from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from ml_metadata.proto.metadata_store_pb2 import Artifact
from rich.console import Console

from components.data_summary import SUMMARY_FILE, Summary
from compressor_lib.export import EXTRA, FIGURES_FILE, tflite_path
from pipelines import results
from pipelines.config import load_config
from pipelines.lineage import NodeRun, Run
from pipelines.measurements import Measurements
from pipelines.results import FormatFigures, ModelFigures, Results, collect, render_results

DATA = Summary(pictures={"train": {"cat": 3, "dog": 4}}, anomalies=["new class 'dog', against the run before"])


@pytest.fixture
def collected(tmp_path, monkeypatch):
    """Collects a run that is there in outline: ``collected(baseline)``, an artifact."""

    def exported(node: str, parameters: int, **formats: int) -> Artifact:
        folder = tmp_path / node / "Format-Serving"
        (folder / EXTRA).mkdir(parents=True)
        (folder / EXTRA / FIGURES_FILE).write_text(json.dumps({"parameters": parameters}))
        for precision, size in formats.items():
            tflite_path(folder, precision).write_bytes(bytes(size))
        return Artifact(uri=str(tmp_path / node))

    asked = {}

    def measure(kept: Path, models: dict, *, judged: list[str], examples: str, size: int) -> Measurements:
        asked.update(kept=kept, judged=judged, examples=examples, size=size)
        times = {"reference": 4.0, "float32": 2.0, "int8": 1.0}
        accuracies = {"reference": 0.7, "float32": 0.9, "int8": 0.8}
        return Measurements({name: times[name] for name in models}, {name: accuracies[name] for name in judged})

    (tmp_path / SUMMARY_FILE).write_text(DATA.to_json())
    reference, compressed = exported("reference", 1000, float32=40), exported("retrain", 250, float32=10, int8=3)
    monkeypatch.setattr(results, "measure", measure)
    monkeypatch.setattr(results, "_verdict", lambda _: ({"candidate": 0.91, "baseline": 0.95}, True, []))

    def collect_run(*, gate_has_reference: bool) -> tuple[Results, dict]:
        evaluated = {"examples": Artifact(uri="/examples")}
        if gate_has_reference:
            evaluated["baseline_model"] = reference
        nodes = {
            "reference": NodeRun({}, {"model": reference}),
            "retrain": NodeRun({}, {"model": compressed}),
            "Evaluator": NodeRun(evaluated, {}),
            "ExampleValidator": NodeRun({}, {"anomalies": Artifact(uri=str(tmp_path))}),
        }
        run = Run("2026-11-26T12:00:00", "x", datetime.now(), nodes)
        (tmp_path / "config.yaml").write_text("{name: x, data: {source: digits}, backbone: {name: MobileNetV2}}")
        config = load_config(tmp_path / "config.yaml", [f"output={tmp_path}", "backbone.input_size=48"])
        return collect(config, run), asked

    return collect_run


def test_a_run_is_collected(collected, tmp_path):
    found, asked = collected(gate_has_reference=True)
    assert found == Results(
        reference=ModelFigures(0.95, 1000, 40, 4.0),
        compressed=ModelFigures(0.91, 250, 10, 2.0),
        formats={"float32": FormatFigures(10, 2.0, 0.9), "int8": FormatFigures(3, 1.0, 0.8)},
        blessed=True,
        pushed_path=None,
        reasons=[],
        data=asdict(DATA),
    )
    assert Results.from_json(found.to_json()) == found
    assert asked == {
        "kept": tmp_path / "measured.json",
        "judged": ["float32", "int8"],
        "examples": "/examples",
        "size": 48,
    }


def test_a_reference_that_the_gate_did_not_judge_is_judged(collected):
    found, asked = collected(gate_has_reference=False)
    assert asked["judged"] == ["reference", "float32", "int8"]
    assert found.reference.accuracy == 0.7


def shown(int8_accuracy: float = 0.93) -> str:
    results = Results(
        reference=ModelFigures(0.95, 1_000_000, 4_000_000, 8.0),
        compressed=ModelFigures(0.94, 250_000, 1_000_000, 2.0),
        formats={
            "float32": FormatFigures(1_000_000, 2.0, 0.94),
            "float16": FormatFigures(500_000, 1.9, 0.945),
            "int8": FormatFigures(300_000, 1.2, int8_accuracy),
        },
        blessed=True,
        pushed_path="/served/1",
        reasons=[],
    )
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_results(results))
    return stream.getvalue()


def rows(text: str, columns: int) -> dict[str, list[str]]:
    """The rows of the table that has so many columns."""
    return {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == columns
    }


def test_table_sets_both_models_side_by_side():
    models = rows(shown(), 4)
    assert models["accuracy"] == ["95.00%", "94.00%", "-1.00 points"]
    assert models["parameters"] == ["1,000,000", "250,000", "-75.0%"]
    assert models["TFLite bytes"] == ["4,000,000", "1,000,000", "-75.0%"]
    assert models["TFLite ms a picture"] == ["8.00", "2.00", "-75.0%"]
    assert models["compression"] == ["", "75.0%", ""]


def test_every_format_has_its_row():
    assert rows(shown(), 5) == {
        "float32": ["1,000,000", "2.00", "94.00%", "+0.00 points"],
        "float16": ["500,000", "1.90", "94.50%", "+0.50 points"],
        "int8": ["300,000", "1.20", "93.00%", "-1.00 points"],
    }


@pytest.mark.parametrize(("int8_accuracy", "warns"), [(0.93, False), (0.92, True)])
def test_a_format_that_lost_much_is_warned_of(int8_accuracy, warns):
    assert ("int8 lost more than 1.5 points" in shown(int8_accuracy)) == warns
