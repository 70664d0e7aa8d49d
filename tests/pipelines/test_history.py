from __future__ import annotations

import re
import subprocess
import sys

import pytest
from made_up_report import made_up_report
from metadata_store import EXECUTION, Store
from typer.testing import CliRunner

from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.gate import Bounds, Figure, Judged, Verdict
from pipelines import cli
from pipelines.history import complete_run
from pipelines.lineage import METADATA_FILE, Lineage
from pipelines.results import Results

RESULTS = Results(
    reference=ModelFigures(95, 100, 1_000_000, 4_000_000, Latency(8.0, 7.8, 8.3)),
    compressed=ModelFigures(80, 100, 250_000, 1_000_000, Latency(2.0, 1.9, 2.1)),
    change=Figure(-0.15, -0.23, -0.08),
    formats={
        "float32": FormatFigures("model.tflite", 1_000_000, Latency(2.0, 1.9, 2.1), Speedup(4.0, 3.8, 4.2)),
    },
    verdict=Verdict(
        Bounds(0.5, 0.02),
        Judged.counted("", pictures=100, right=80, pairs=PairedCounts(80, 0, 15, 5)),
        [],
        "0",
        ["accuracy fell by 15 points, 2 at most"],
    ),
    has_reference_as_baseline=True,
    pushed_path=None,
    advice=["Compression costs more than gate.max_drop allows: raise search.tau."],
)


@pytest.fixture
def output(tmp_path):
    """An output folder with a run that was not blessed, and one that failed."""
    output = tmp_path / "runs" / "p"
    output.mkdir(parents=True)
    store = Store(output / METADATA_FILE)
    examples, model = store.artifact("/made/examples", span="7"), store.artifact("/made/model")
    store.run(
        "2026-11-26T09:00:00.200002",
        ("ExampleGen", EXECUTION.COMPLETE, {}, {"examples": examples}, {}),
        ("Trainer", EXECUTION.COMPLETE, {"examples": examples}, {"model": model}, {}),
        ("Evaluator", EXECUTION.COMPLETE, {"model": model}, {"blessing": store.artifact("/b", blessed=0)}, {}),
        ("Report", EXECUTION.COMPLETE, {"compressed": model}, {"report": store.artifact(str(tmp_path))}, {}),
    )
    made_up_report().write(tmp_path)
    store.run("2026-11-26T10:00:00.300003", ("ExampleGen", EXECUTION.FAILED, {}, {}, {}))
    lineage = Lineage(output / METADATA_FILE)
    lineage.keep_results(lineage.run("200002"), RESULTS.to_json())
    return output


def shown(*arguments: object):
    return CliRunner().invoke(cli.app, [*map(str, arguments)], env={"COLUMNS": "120"})


@pytest.mark.parametrize("up", [False, True])
def test_runs_are_listed_with_their_figures_and_verdict(output, up):
    result = shown("runs", output.parent if up else output)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if line.strip().startswith("2026")]
    assert [" ".join(row[2:]) for row in rows] == [
        "200002 7 95.00% -> 80.00% 1,000,000 -> 250,000 75.0% not blessed, not pushed",
        "300003 failed in ExampleGen",
    ]


def test_a_run_is_shown_with_its_figures_and_its_lineage(output):
    result = shown("show", "200002", "--in", output)
    assert result.exit_code == 0, result.output
    assert "data of span 7: not blessed, not pushed" in result.output
    assert "accuracy fell by 15 points" in result.output
    assert "-75.0%" in result.output
    assert "  what to do: Compression costs more than gate.max_drop allows" in result.output
    assert "71.1 to 86.7 %" in result.output
    lines = result.output.splitlines()
    trainer = next(number for number, line in enumerate(lines) if line.startswith("Trainer"))
    assert lines[trainer + 1 : trainer + 3] == ["  from ExampleGen.examples", f"  made {'model':<8} /made/model"]


@pytest.mark.slow
def test_a_past_runs_report_is_written_anew(output):
    result = shown("report", "200002", "--in", output.parent)
    assert (result.exit_code, result.stdout) == (0, f"{output / 'report.html'}\n")
    assert '<th scope="row">ExampleGen</th>' in (output / "report.html").read_text()


def test_a_run_that_came_to_no_report_is_told(output):
    result = shown("report", "--in", output)
    assert result.exit_code == 2
    assert "node Report of run 2026-11-26T10:00:00.300003 is not reached" in result.stderr


def test_the_latest_run_is_shown_by_default(output):
    result = shown("show", "--in", output.parent)
    assert "300003 of p" in result.output
    assert "failed in ExampleGen" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["show", "300002"], "unknown run '300002'. Known: 2026"), (["show", "2026"], "may be 2026.* or 2026")],
)
def test_a_wrong_id_is_told(output, arguments, message):
    result = shown(*arguments, "--in", output)
    assert result.exit_code == 2
    assert re.search(message, result.stderr)


@pytest.mark.parametrize("command", [["runs"], ["show", "--in"]])
def test_a_folder_without_runs_is_told(tmp_path, command):
    result = shown(*command, tmp_path)
    assert result.exit_code == 2
    assert result.stderr == f"error: there are no runs in '{tmp_path}': give the output folder of a run.\n"


def test_the_shell_completes_ids(output, monkeypatch):
    monkeypatch.chdir(output.parent.parent)
    assert complete_run("") == ["latest", "200002", "300003"]
    assert complete_run("3") == ["300003"]


def test_nothing_heavy_is_imported(output):
    script = (
        "import sys; from pipelines.cli import app; app(['runs', sys.argv[1]], standalone_mode=False);"
        "assert not {'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(output)], check=True)
