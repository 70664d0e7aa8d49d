from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from made_up_report import made_up_refusal, made_up_report

from compressor_lib.errors import CompressorError
from pipelines.cli.exit_status import STOPPED
from pipelines.cli.run import new_log, show_results, verdict_sentence
from pipelines.config.config import Config
from pipelines.results.outcome import Results


def config(output: object) -> Config:
    return Config(
        name="tiny",
        data={"source": "digits"},
        backbone={"name": "MobileNetV2", "weights": "none"},
        output=str(output),
    )


def results(*, blessed: bool = True, **changed: Any) -> Results:
    data = made_up_report() if blessed else made_up_refusal()
    fields: dict[str, Any] = {
        "reference": data.reference,
        "compressed": data.compressed,
        "change": data.change,
        "formats": data.formats,
        "verdict": data.verdict,
        "has_reference_as_baseline": True,
        "pushed_path": data.pushed_to,
        "advice": data.advice,
    }
    return Results(**fields | changed)


def test_the_output_folder_is_made_and_the_log_is_named_by_the_time(tmp_path):
    log = new_log(config(tmp_path / "runs" / "tiny"))
    assert log.parent == tmp_path / "runs" / "tiny" / "logs"
    assert re.fullmatch(r"\d{8}-\d{6}\.log", log.name)
    # That files can be written was tried, and nothing is left of it.
    assert sorted((tmp_path / "runs" / "tiny").rglob("*")) == [log.parent]


def test_what_an_output_folder_holds_is_left_alone(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "earlier.log").write_text("kept")
    new_log(config(tmp_path))
    assert (tmp_path / "logs" / "earlier.log").read_text() == "kept"


@pytest.mark.parametrize("output", ["gs://bucket/runs", "s3://bucket/runs"])
def test_an_output_folder_in_a_store_is_refused(output):
    with pytest.raises(CompressorError, match=f"output '{output}' is not on this machine: choose a local folder"):
        new_log(config(output))


@pytest.mark.parametrize("blocked", ["", "logs"])
def test_an_output_folder_that_takes_no_files_is_refused(tmp_path, blocked):
    output = tmp_path / "output"
    if blocked:
        output.mkdir()
    (output / blocked).write_text("a file in its place")
    with pytest.raises(CompressorError, match=r"output '.*output' cannot be written to \(.*\): choose another folder"):
        new_log(config(output))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "blessed: it passed the gate and may be deployed; pushed as version 1 to /served/1"),
        (
            {"pushed_before": "2026-11-24 03:07"},
            "blessed: nothing new to push; version 1 was pushed to /served/1 on 2026-11-24 03:07",
        ),
        (
            {"pushed_path": None},
            "blessed: it passed the gate and may be deployed; it was not pushed to a folder of this machine",
        ),
        (
            {"blessed": False},
            "not blessed: it failed the gate and was not pushed; earlier pushed models stay in place",
        ),
    ],
)
def test_what_the_verdict_means_for_the_model(changed, told):
    assert verdict_sentence(results(**changed)) == told


def test_a_refused_run_ends_with_its_reasons_what_to_do_and_the_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    refused = results(blessed=False)
    output = tmp_path / "a folder whose name alone is as wide as many a terminal, so that lines would be wrapped"
    show_results({"": refused}, str(output))
    lines = capsys.readouterr().out.splitlines()
    assert refused.reasons
    assert refused.advice
    end = [
        verdict_sentence(refused),
        *(f"  {reason}" for reason in refused.reasons),
        *(f"what to do: {sentence}" for sentence in refused.advice),
        f"report: {output / 'report.html'}",
    ]
    assert lines[-len(end) :] == end


def test_a_blessed_run_ends_with_the_verdict_and_the_report(tmp_path, capsys):
    passed = results(advice=[])
    show_results({"": passed}, str(tmp_path))
    assert capsys.readouterr().out.splitlines()[-2:] == [
        verdict_sentence(passed),
        f"report: {tmp_path / 'report.html'}",
    ]


def test_where_a_library_does_not_let_go_the_process_ends_and_says_so_on_the_screen():
    """Standard error is a log by then."""
    script = (
        "import os\n"
        "from pipelines.cli.run import _stop_at_once\n"
        "stop = _stop_at_once()\n"
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n"
        "stop()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == STOPPED
    assert ended.stderr == "stopped; finished nodes and trials are kept: re-run the command to resume\n"
