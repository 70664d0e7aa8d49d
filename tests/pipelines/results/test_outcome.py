from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from datetime import datetime

import pytest
from made_up_report import judged, made_up_report
from ml_metadata.proto.metadata_store_pb2 import Artifact
from rich.console import Console

from components.artifacts.data_summary import DataSummary
from components.artifacts.file_names import SUMMARY_FILE
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.gate import Thresholds, Verdict, judge, judge_format
from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.errors import CompressorError
from pipelines.results.lineage import NodeRun, Run
from pipelines.results.outcome import Results, collect, family_from_json, family_to_json, render_results

DATA = DataSummary(images={"train": {"cat": 3, "dog": 4}}, anomalies=["new class 'dog', against the run before"])
BOUNDS = Thresholds(min_accuracy=0.5, max_drop=0.1)
OVERALL = judged("", 178, 4, 12, 6)


def verdict(int8_lost: int = 14) -> Verdict:
    return judge(
        BOUNDS,
        OVERALL,
        [judged("cat", 110, 3, 4, 3), judged("dog", 68, 1, 8, 3)],
        "5ha256",
        formats={
            "float32": judge_format(BOUNDS, OVERALL, []),
            "int8": judge_format(BOUNDS, judged("", 190 - int8_lost, 4, int8_lost, 6), []),
        },
    )


def test_a_run_is_collected(tmp_path):
    data = made_up_report()
    data.write(tmp_path)
    (tmp_path / SUMMARY_FILE).write_text(DATA.to_json())
    made, reference = Artifact(uri=str(tmp_path)), Artifact(uri="/reference")
    nodes = {
        "reference": NodeRun({}, {"model": reference}),
        "Evaluator": NodeRun({"baseline_model": reference}, {"evaluation": made}),
        "Report": NodeRun({}, {"report": made}),
        "ExampleValidator": NodeRun({}, {"anomalies": made}),
    }
    found = collect(Run("2026", "x", datetime.now(), nodes))[""]
    assert found == Results(
        reference=data.reference,
        compressed=data.compressed,
        change=data.change,
        formats=data.formats,
        verdict=data.verdict,
        has_reference_as_baseline=True,
        pushed_path=None,  # there is no such folder
        data=asdict(DATA),
        advice=data.advice,
    )
    assert Results.from_json(found.to_json()) == found


RESULTS = Results(
    reference=ModelFigures(190, 200, 1_000_000, 4_000_000, Latency(8.0, 7.8, 8.3), 224, 245_760),
    compressed=ModelFigures(182, 200, 250_000, 1_000_000, Latency(2.0, 1.9, 2.2), 96, 122_880),
    change=OVERALL.change,
    formats={
        "float32": FormatFigures("model.tflite", 1_000_000, Latency(2.0, 1.9, 2.2), Speedup(4.0, 3.7, 4.3)),
        "int8": FormatFigures("model_int8.tflite", 300_000, Latency(7.9, 6.0, 9.0), Speedup(1.05, 0.9, 1.3)),
    },
    verdict=verdict(),
    has_reference_as_baseline=True,
    pushed_path="/served/1",
)


def test_results_of_another_version_are_refused_in_a_sentence():
    fields = json.loads(RESULTS.to_json())
    fields["reference"] = {"accuracy": 0.95, "parameters": 1, "bytes": 1, "milliseconds": 8.0}
    with pytest.raises(
        CompressorError, match="the results of this run were written by another version of auto-compressor"
    ):
        Results.from_json(json.dumps(fields))


def shown(results: Results = RESULTS) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_results(results))
    return stream.getvalue()


def rows(text: str, columns: int) -> dict[str, list[str]]:
    """The rows of the table that has so many columns; what continues a cell on the next line is joined to it."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if len(cells) == columns:
            name = cells[0] or name
            before = found.get(name, [""] * (columns - 1))
            found[name] = [f"{old} {new}".strip() for old, new in zip(before, cells[1:], strict=True)]
    return found


def test_table_sets_both_models_side_by_side_with_counts_and_intervals():
    models = rows(shown(), 4)
    assert models["accuracy"] == [
        "95.0 % 190 of 200 91.0 to 97.3 %",
        "91.0 % 182 of 200 86.2 to 94.2 %",
        "-4.0 points -8.5 to -0.1",
    ]
    assert models["parameters"] == ["1,000,000", "250,000", "-75.0 %"]
    assert models["TFLite bytes"] == ["4,000,000", "1,000,000", "-75.0 %"]
    assert models["memory in int8"] == ["240 KiB", "120 KiB", "-50.0 %"]
    assert models["image size"] == ["224 px", "96 px", ""]
    assert models["latency an image"] == [
        "8.00 ms 7.80 to 8.30", "2.00 ms 1.90 to 2.20", "4.0 times as fast 3.7 to 4.3",
    ]  # fmt: skip
    assert models["compression"] == ["", "75.0 %", ""]


def test_what_chance_explains_is_no_difference():
    figures = {**RESULTS.formats, "float32": replace(RESULTS.formats["float32"], speedup=Speedup(0.5, 0.4, 1.4))}
    models = rows(shown(replace(RESULTS, change=judged("", 188, 1, 2, 9).change, formats=figures)), 4)
    assert models["accuracy"][2].endswith("no difference measured")
    assert models["latency an image"][2] == "no difference measured"


def test_table_shows_the_class_that_loses_most():
    models = rows(shown(), 4)
    assert models["class dog"][0].startswith("95.0 % 76 of 80")
    assert models["class dog"][1].startswith("86.2 % 69 of 80")
    assert "gate's baseline" not in models


def test_a_baseline_other_than_the_reference_has_its_row():
    models = rows(shown(replace(RESULTS, has_reference_as_baseline=False)), 4)
    assert models["gate's baseline"][0].startswith("95.0 % 190 of 200")


def test_every_format_has_its_row_with_its_verdict():
    formats = rows(shown(), 6)
    assert formats["float32"] == [
        "1,000,000", "2.00 ms 1.90 to 2.20", "4.0 times as fast 3.7 to 4.3",
        "91.0 % 182 of 200 86.2 to 94.2 %", "passed",
    ]  # fmt: skip
    assert formats["int8"][2] == "no difference measured"


@pytest.mark.parametrize(("lost", "is_left_out"), [(1, False), (14, False), (40, True)])
def test_a_format_is_left_out_by_the_gate_alone(lost, is_left_out):
    """One image of two hundred fewer is no reason to warn of a format."""
    text = shown(replace(RESULTS, verdict=verdict(lost)))
    assert (rows(text, 6)["int8"][-1] == "failed") == is_left_out
    assert ("int8 is not pushed: accuracy changes by -18.0 points" in text) == is_left_out
    assert "1.5 points" not in text


def test_eighty_columns_suffice():
    """No cell is broken in the middle of a figure."""
    lines = [cell.strip() for line in shown().splitlines() for cell in line.split("│")]
    assert "86.2 to 94.2 %" in lines
    assert "%" not in lines


def test_a_format_that_does_not_convert_has_its_row_and_its_reason():
    reason = "it does not convert to TFLite (no kernel)"
    missing = judge(BOUNDS, OVERALL, [], "", formats={"float32": RESULTS.verdict.formats["float32"]},
                    not_converted={"int8": reason})  # fmt: skip
    text = shown(replace(RESULTS, verdict=missing, formats={"float32": RESULTS.formats["float32"]}))
    assert rows(text, 6)["int8"] == ["", "", "", "", "not converted"]
    assert f"int8 is not pushed: {reason}" in text


def test_without_any_tflite_model_the_rest_is_shown():
    missing = judge(BOUNDS, OVERALL, [], "", not_converted={"float32": "it does not convert"})
    results = replace(
        RESULTS,
        verdict=missing,
        formats={},
        reference=replace(RESULTS.reference, bytes=None, latency=None),
        compressed=replace(RESULTS.compressed, bytes=None, latency=None),
    )
    models = rows(shown(results), 4)
    assert models["TFLite bytes"] == ["not converted", "not converted", ""]
    assert models["latency an image"] == ["not converted", "not converted", "not compared"]
    assert models["parameters"] == ["1,000,000", "250,000", "-75.0 %"]
    assert Results.from_json(results.to_json()) == results


def test_the_results_of_a_family_are_kept_by_the_names_of_its_models():
    family = {"tiny": RESULTS, "small": replace(RESULTS, pushed_path=None)}
    assert family_from_json(family_to_json(family)) == family
    assert family_from_json(family_to_json({"": RESULTS})) == {"": RESULTS}
    assert family_to_json({"": RESULTS}) == RESULTS.to_json()
