from __future__ import annotations

import io
from dataclasses import asdict, replace
from datetime import datetime

import pytest
from made_up_report import made_up_report
from ml_metadata.proto.metadata_store_pb2 import Artifact
from rich.console import Console

from components.data_summary import SUMMARY_FILE, Summary
from components.evaluator.executor import VERDICT_FILE
from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.gate import Bounds, Figure, FormatVerdict, Judged, Verdict, judge_format
from pipelines.lineage import NodeRun, Run
from pipelines.results import Results, collect, render_results

DATA = Summary(pictures={"train": {"cat": 3, "dog": 4}}, anomalies=["new class 'dog', against the run before"])
VERDICT = Verdict(
    Bounds(min_accuracy=0.5, max_drop=0.1, confidence=0.95),
    Judged("", 200, 182, Figure(0.91, 0.87, 0.95), Figure(0.95, 0.92, 0.98), Figure(-0.04, -0.065, -0.015)),
    [
        Judged("cat", 120, 114, Figure(0.95, 0.9, 1.0), Figure(0.96, 0.9, 1.0), Figure(-0.01, -0.04, 0.02)),
        Judged("dog", 80, 68, Figure(0.85, 0.8, 0.9), Figure(0.935, 0.9, 1.0), Figure(-0.085, -0.13, -0.04)),
    ],
    "5ha256",
    [],
)


def test_a_run_is_collected(tmp_path):
    data = made_up_report()
    data.write(tmp_path)
    (tmp_path / SUMMARY_FILE).write_text(DATA.to_json())
    (tmp_path / VERDICT_FILE).write_text(VERDICT.to_json())
    made, reference = Artifact(uri=str(tmp_path)), Artifact(uri="/reference")
    nodes = {
        "reference": NodeRun({}, {"model": reference}),
        "Evaluator": NodeRun({"baseline_model": reference}, {"evaluation": made}),
        "Report": NodeRun({}, {"report": made}),
        "ExampleValidator": NodeRun({}, {"anomalies": made}),
    }
    found = collect(Run("2026", "x", datetime.now(), nodes))
    assert found == Results(
        reference=data.reference,
        compressed=data.compressed,
        formats=data.formats,
        verdict=VERDICT,
        has_reference_as_baseline=True,
        pushed_path=None,  # there is no such folder
        data=asdict(DATA),
    )
    assert Results.from_json(found.to_json()) == found


def int8_verdict(lost: int) -> FormatVerdict:
    """Of a TFLite model that lost so many of the 200 images by its conversion."""
    judged = Judged.counted("", pictures=200, right=188 - lost, pairs=PairedCounts(188 - lost, 0, lost, 12))
    return judge_format(Bounds(0.5, 0.1), judged, [], judged.change)


def shown(int8_lost: int = 3, *, has_reference_as_baseline: bool = True) -> str:
    results = Results(
        reference=ModelFigures(0.95, 1_000_000, 4_000_000, 8.0),
        compressed=ModelFigures(0.94, 250_000, 1_000_000, 2.0),
        formats={
            "float32": FormatFigures(1_000_000, 2.0, 0.94),
            "float16": FormatFigures(500_000, 1.9, 0.945),
            "int8": FormatFigures(300_000, 1.2, 0.93),
        },
        verdict=replace(VERDICT, formats={"int8": int8_verdict(int8_lost)}),
        has_reference_as_baseline=has_reference_as_baseline,
        pushed_path="/served/1",
    )
    stream = io.StringIO()
    Console(file=stream, width=100).print(render_results(results))
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


def test_table_shows_how_sure_the_gate_is_and_the_class_that_loses_most():
    models = rows(shown(), 4)
    assert models["with 95% confidence"] == ["92.0 to 98.0%", "87.0 to 95.0%", "-6.5 to -1.5 points"]
    assert models["class dog"] == ["93.50%", "85.00%", "-8.50 points"]
    assert "against the gate's baseline" not in models


def test_a_baseline_other_than_the_reference_has_its_row():
    models = rows(shown(has_reference_as_baseline=False), 4)
    assert models["against the gate's baseline"] == ["95.00%", "91.00%", "-4.00 points"]


def test_every_format_has_its_row():
    assert rows(shown(), 5) == {
        "float32": ["1,000,000", "2.00", "94.00%", "+0.00 points"],
        "float16": ["500,000", "1.90", "94.50%", "+0.50 points"],
        "int8": ["300,000", "1.20", "93.00%", "-1.00 points"],
    }


@pytest.mark.parametrize(("lost", "warns"), [(1, False), (4, False), (12, True)])
def test_a_format_that_surely_lost_much_is_warned_of(lost, warns):
    assert ("int8 lost more than 1.5 points" in shown(lost)) == warns


def test_a_format_that_is_left_out_has_its_reason():
    text = " ".join(shown(40).split())
    assert "int8 is not pushed: accuracy changes by -20.0 points (-26.1 to -15.0) against the baseline" in text
