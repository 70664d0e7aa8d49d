from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from datetime import datetime

import pytest
from made_up_report import made_up_report
from made_up_results import made_up_results
from metadata_store import EXECUTION, Store
from rich.console import Console
from typer.testing import CliRunner

from pipelines.cli import main as cli
from pipelines.cli.runs import complete_run, runs_table
from pipelines.config.config import METADATA_FILE
from pipelines.results.lineage import Lineage

RUN, RUN_2 = "2026-11-26T09:00:00.200002", "2026-11-26T10:00:00.300003"

RESULTS = made_up_results(blessed=False)


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
        f"span 7 {RUN} 95.0 % (95 of 100, 88.8 to 97.8 %) 80.0 % (80 of 100, 71.1 to 86.7 %) "
        "1,000,000 -> 250,000 75.0 % not blessed, not pushed",
        "2026-11-26T10:00:00.300003 failed in ExampleGen",
    ]


@pytest.mark.parametrize("width", [80, 109, 110, 120, 130])
def test_the_table_of_runs_fits_a_terminal_with_the_whole_verdict(output, width):
    store = Store(output / METADATA_FILE)
    store.run("2026-11-26T11:00:00.400004", ("TranslatorPretrainer", EXECUTION.CANCELED, {}, {}, {}))
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    console.print(runs_table("runs/p", Lineage(output / METADATA_FILE).runs(), width))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    runs = cells_by_run(lines)
    whole = [RUN, RUN_2, "2026-11-26T11:00:00.400004"]
    assert list(runs) == (whole if width >= 110 else [id[-6:] for id in whole])
    blessed, failed, interrupted = runs.values()
    assert blessed["reference accuracy"] == "95.0 % 95 of 100 88.8 to 97.8 %"
    assert blessed["compressed accuracy"] == "80.0 % 80 of 100 71.1 to 86.7 %"
    assert blessed["when"].endswith("span 7")
    assert blessed.get("parameters") == ("1,000,000 -> 250,000" if width >= 130 else None)
    assert (blessed["saved"], blessed["verdict"]) == ("75.0 %", "not blessed, not pushed")
    assert (failed["verdict"], failed["reference accuracy"]) == ("failed in ExampleGen", "")
    assert interrupted["verdict"] == "interrupted in TranslatorPretrainer"
    assert "…" not in console.file.getvalue()


COLUMNS = ("when", "run", "reference accuracy", "compressed accuracy", "parameters", "saved", "verdict")


def cells_by_run(lines: list[str]) -> dict[str, dict[str, str]]:
    """The cells of each run by their column, the lines of each joined; a table of runs has two lines of headings."""
    _, upper, lower, _, *rest = lines
    columns = [column for column in COLUMNS if column.split()[0] in f"{upper} {lower}"]
    used = "".join("x" if set(letters) - {" "} else " " for letters in zip(upper, lower, *rest, strict=True))
    found: list[list[str]] = []
    for line in rest:
        cells = [line[slice(*column.span())].strip() for column in re.finditer("x+(?: x+)*", used)]
        if line.startswith("2026"):
            found.append(cells)
        else:
            found[-1] = [f"{old} {new}".strip() for old, new in zip(found[-1], cells, strict=True)]
    return {cells[1]: dict(zip(columns, cells, strict=True)) for cells in found}


def test_a_piped_table_of_runs_is_whole_however_narrow_the_terminal_is(output):
    result = CliRunner().invoke(cli.app, ["runs", str(output)], env={"COLUMNS": "40", "FORCE_COLOR": "1"})
    assert RUN in result.output
    assert "not blessed, not pushed" in result.output
    assert "1,000,000 -> 250,000" in result.output


def test_runs_for_programs(output):
    first, second = json.loads(shown("runs", output, "--json").stdout)
    assert datetime.fromisoformat(first["started"]).tzinfo
    assert {key: first[key] for key in ("id", "pipeline", "output", "state", "verdict", "new", "span")} == {
        "id": RUN,
        "pipeline": "p",
        "output": str(output),
        "state": "done",
        "verdict": "not blessed, not pushed",
        "new": True,
        "span": 7,
    }
    assert (first["blessed"], first["pushed_to"], first["pushed_at"]) == (False, None, None)
    assert first["accuracy"] == {"reference": 0.95, "compressed": 0.80}
    interval = first["accuracy_interval"]["compressed"]
    assert (interval["right"], interval["images"], interval["confidence"]) == (80, 100, 0.95)
    assert (interval["low"], interval["high"]) == pytest.approx((0.7112, 0.8666), abs=5e-5)
    assert list(first["accuracy_interval"]) == ["reference", "compressed"]
    assert first["parameters"] == {"reference": 1_000_000, "compressed": 250_000}
    assert (second["state"], second["verdict"], second["accuracy"]) == ("failed", "failed in ExampleGen", {})
    assert second["accuracy_interval"] == {}
    assert list(first) == list(second)


def test_a_run_for_programs(output):
    (summary, _) = json.loads(shown("runs", output, "--json").stdout)
    run = json.loads(shown("show", "200002", "--in", output, "--json").stdout)
    assert {key: run[key] for key in summary} == summary
    assert run["reasons"] == ["accuracy fell by 15 points, 2 at most"]
    assert run["results"]["compressed"]["bytes"] == 1_000_000
    trainer = run["nodes"][1]
    assert (trainer["name"], trainer["state"]) == ("Trainer", "done")
    assert (trainer["inputs"], trainer["outputs"]) == ({"examples": "/made/examples"}, {"model": "/made/model"})


@pytest.mark.parametrize("arguments", [["runs"], ["show", "--in"]])
def test_programs_get_a_status_and_nothing_on_stdout_where_there_are_no_runs(tmp_path, arguments):
    result = shown(*arguments, tmp_path, "--json")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("nodes", "verdict"),
    [
        ([("A", EXECUTION.COMPLETE), ("B", EXECUTION.CANCELED)], "interrupted in B"),  # Ctrl-C
        ([("A", EXECUTION.COMPLETE), ("B", EXECUTION.RUNNING)], "interrupted in B"),  # kill -9
        ([("A", EXECUTION.COMPLETE), ("B", EXECUTION.COMPLETE)], "interrupted after B"),  # between two nodes
        ([("A", EXECUTION.CACHED), ("Report", EXECUTION.CACHED)], "nothing new"),
    ],
)
def test_what_came_of_a_run(output, nodes, verdict):
    store = Store(output / METADATA_FILE)
    store.run("2026-11-26T11:00:00.400004", *((name, state, {}, {}, {}) for name, state in nodes))
    assert f" {verdict}" in shown("runs", output).output.splitlines()[-1]
    assert shown("show", "--in", output).output.splitlines()[0].endswith(f": {verdict}")


def test_a_run_whose_process_holds_the_lock_is_running_and_killed_it_is_interrupted(output):
    script = (
        "import sys, time\n"
        "from pipelines.results.locks import OutputLock\n"
        "with OutputLock(sys.argv[1]).held():\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    Store(output / METADATA_FILE).run("2026-11-26T11:00:00.400004", ("A", EXECUTION.RUNNING, {}, {}, {}))
    verdicts = [one["verdict"] for one in json.loads(shown("runs", output, "--json").stdout)]
    assert verdicts == ["not blessed, not pushed", "failed in ExampleGen", "running in A"]
    holder.kill()
    holder.wait()
    assert json.loads(shown("runs", output, "--json").stdout)[-1]["verdict"] == "interrupted in A"


def test_a_run_is_shown_with_its_figures_and_its_lineage(output):
    result = shown("show", "200002", "--in", output)
    assert result.exit_code == 0, result.output
    assert "data of span 7: not blessed, not pushed" in result.output
    assert "accuracy fell by 15 points" in result.output
    assert "-75.0 %" in result.output
    assert "  what to do: Compression costs more than gate.max_drop allows" in result.output
    assert "71.1 to 86.7 %" in result.output
    lines = result.output.splitlines()
    trainer = next(number for number, line in enumerate(lines) if line.startswith("Trainer"))
    assert lines[trainer + 1 : trainer + 3] == ["  from ExampleGen.examples", "  made model /made/model"]


OLD_RESULTS = [
    json.dumps({**json.loads(RESULTS.to_json()), "reference": {"accuracy": 0.95}}),
    json.dumps({**json.loads(RESULTS.to_json()), "verdict": {}}),
    "[]",
    "no JSON",
]


@pytest.mark.parametrize("results", OLD_RESULTS)
def test_results_of_another_version_hide_no_run(output, results):
    lineage = Lineage(output / METADATA_FILE)
    lineage.keep_results(lineage.run("200002"), results)
    listed = shown("runs", output)
    assert listed.exit_code == 0, listed.output
    assert f"span 7 {RUN} not blessed, not pushed; results of another version" in " ".join(listed.output.split())
    assert "failed in ExampleGen" in listed.output
    first, second = json.loads(shown("runs", output, "--json").stdout)
    assert (first["note"], first["accuracy"], first["parameters"]) == ("results of another version", {}, {})
    assert (second["note"], second["verdict"]) == ("", "failed in ExampleGen")
    one = shown("show", "200002", "--in", output)
    assert (one.exit_code, "results of another version" in one.output) == (0, True), one.output
    assert "made model" in " ".join(one.output.split())
    details = json.loads(shown("show", "200002", "--in", output, "--json").stdout)
    assert (details["results"], details["reasons"], details["note"]) == (None, [], "results of another version")


@pytest.mark.slow
def test_a_past_runs_report_is_written_anew(output):
    result = shown("report", "200002", "--in", output.parent)
    assert (result.exit_code, result.stdout) == (0, f"{output / 'report.html'}\n")
    assert '<th scope="row">ExampleGen</th>' in (output / "report.html").read_text()


def test_a_run_that_came_to_no_report_is_told(output):
    result = shown("report", "--in", output)
    assert result.exit_code == 2
    assert "node Report of run 2026-11-26T10:00:00.300003 has not run" in result.stderr


def test_the_latest_run_is_shown_by_default(output):
    result = shown("show", "--in", output.parent)
    assert "300003 of p" in result.output
    assert "failed in ExampleGen" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["show", "300002"], "unknown run '300002'. Known: 2026"), (["show", "2026"], "matches 2026.* and 2026")],
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
        "import sys; from pipelines.cli.main import app; app(['runs', sys.argv[1]], standalone_mode=False);"
        "assert not {'tensorflow', 'tfx.types', 'keras', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(output)], check=True)
