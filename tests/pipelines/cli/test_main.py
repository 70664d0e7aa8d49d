from __future__ import annotations

import json
import logging
import os
import re
import shlex
import subprocess
import sys
import time
import types

import pytest
import typer
from made_up_results import made_up_results
from typer.testing import CliRunner

import pipelines.execution.runners
import pipelines.results.outcome
from compressor_lib.errors import CompressorError
from pipelines.cli import main as cli
from pipelines.execution.runners import NodeFailure
from pipelines.results.locks import OutputLock

CONFIG = """
name: tiny
data: {source: folder, path: %s}
backbone: {name: MobileNetV2, weights: none}
"""


def make_images(folder):
    """Class folders with files named as images; nothing before the first node opens them."""
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            (folder / name / f"{number}.jpg").touch()


class Stage:
    """Stands in for what the command line calls: the pipeline, its run and its results."""

    def __init__(self, monkeypatch, folder):
        self.folder = folder
        self.config = folder / "config.yaml"
        self.output = folder / "out"
        self.created: dict[str, object] = {}
        self.blessed = True
        self.failure: BaseException | None = None
        make_images(folder / "images")
        self.config.write_text(CONFIG % (folder / "images"))
        module = types.ModuleType("pipelines.pipeline")
        module.create_pipeline = self._create  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "pipelines.pipeline", module)
        monkeypatch.setattr(pipelines.execution.runners, "run", self._run)
        monkeypatch.setattr(pipelines.results.outcome, "conclude", lambda config: {"": made_up_results(self.blessed)})

    def _create(self, config, *, code_version):
        self.created = {"config": config, "code_version": code_version}
        return types.SimpleNamespace(components=[types.SimpleNamespace(id=node) for node in ("Transform", "Pusher")])

    def _run(self, pipeline, runner, listener, *, seed, check):
        self.created |= {"runner": runner, "seed": seed}
        listener.started("Transform")
        os.write(1, b"noise of C++\n")
        print("noise of Python")
        logging.getLogger("components.x").info("shard 1 of 2")
        if self.failure:
            raise self.failure
        listener.finished("Transform", "done")

    def invoke(self, *arguments):
        common = ["run", "--config", str(self.config), "--output", str(self.output)]
        return CliRunner().invoke(cli.app, [*common, *arguments])


@pytest.fixture
def stage(monkeypatch, tmp_path):
    return Stage(monkeypatch, tmp_path)


def test_run_shows_nodes_table_verdict_and_where_it_was_pushed(stage):
    result = stage.invoke()
    assert result.exit_code == 0, result.output
    assert "[1/2] Transform" in result.output
    assert "shard 1 of 2" in result.output
    assert "-75.0 %" in result.output
    told = "blessed: it passed the gate and may be deployed; pushed as version 7 to /served/7"
    assert result.output.rstrip().endswith(f"{told}\nreport: {stage.output}/report.html")


def test_run_sends_noise_to_the_log(stage):
    result = stage.invoke()
    assert "noise of" not in result.output
    (log,) = (stage.output / "logs").iterdir()
    assert "noise of C++" in log.read_text()
    assert "noise of Python" in log.read_text()
    assert str(log) in result.output


def test_run_records_its_events_and_a_run_without_a_terminal_has_no_control_characters(stage):
    result = stage.invoke()
    events = [json.loads(line) for line in (stage.output / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "doing",
        "run",
        "started",
        "message",
        "done",
        "estimate",
        "doing",
        "end",
    ]
    assert events[3]["node"] == "Transform"
    assert events[3]["message"] == "shard 1 of 2"
    assert [letter for letter in result.output if not letter.isprintable() and letter != "\n"] == []


def commands_in(app, *names):
    """Every command with its path."""
    group = typer.main.get_command(app)
    for name in names:
        group = group.commands[name]
    for name, command in group.commands.items():
        path = (*names, name)
        yield from commands_in(app, *path) if hasattr(command, "commands") else [path]


@pytest.mark.parametrize("command", list(commands_in(cli.app)), ids=" ".join)
def test_every_command_shows_an_example_that_it_understands(command):
    shown = CliRunner().invoke(cli.app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    (line,) = (line for line in shown.output.splitlines() if "Example: " in line)
    example = shlex.split(line.partition("Example: ")[2])
    assert example[: 1 + len(command)] == ["compressor", *command]
    group = typer.main.get_command(cli.app)
    for name in command[:-1]:
        group = group.commands[name]
    group.commands[command[-1]].make_context("compressor", example[1 + len(command) :])


@pytest.mark.parametrize("command", list(commands_in(cli.app, "schedule")), ids=" ".join)
def test_the_example_of_a_schedule_is_for_this_machine_as_is_the_default(command):
    shown = CliRunner().invoke(cli.app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    (example,) = (line for line in shown.output.splitlines() if "Example: " in line)
    assert "--target" not in example


@pytest.mark.parametrize(
    ("words", "told"),
    [(["rnu"], "Did you mean 'run'?"), (["run", "--confg", "x"], "--config"), (["schedule", "lst"], "'list'")],
)
def test_the_nearest_command_and_option_are_told(words, told):
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 2
    assert told in result.stderr


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ba", ["backbones"]),
        ("run --set search.ta", ["search.tau=", "search.tail_units="]),
        ("run --runner b", ["beam"]),
    ],
)
def test_the_shell_can_complete(typed, completed):
    words = f"compressor {typed}"
    environment = {
        "_COMPRESSOR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(cli.app, [], env=environment, prog_name="compressor")
    assert sorted(result.output.split()) == sorted(completed)


def test_run_hands_the_pipeline_what_was_typed(stage):
    other = stage.folder / "12"  # a name that YAML alone would read as a number
    make_images(other)
    result = stage.invoke("--data", str(other), "--runner", "beam", "--set", "search.tau=0.3")
    assert result.exit_code == 0, result.output
    created = stage.created
    assert created["config"].search.tau == 0.3
    assert created["runner"] == "beam"
    assert created["config"].data_path == str(other)
    assert created["config"].output == str(stage.output)
    assert len(created["code_version"]) == 16


def test_run_takes_no_jobs_on_vertex(stage):
    vertex = "vertex={project: mine, region: europe-west1, search: {machine_type: n1-standard-8}}"
    result = stage.invoke("--set", vertex)
    assert result.exit_code == 2
    assert "section vertex is for Vertex AI only: remove it, or compile with --target vertex." in result.output
    assert not stage.created


def test_run_writes_the_digits_into_the_output(stage):
    stage.config.write_text("{name: d, data: {source: digits}, backbone: {name: MobileNetV2, weights: none}}")
    assert stage.invoke().exit_code == 0
    assert stage.created["config"].data_path == str(stage.output / "data")
    assert len(list((stage.output / "data").iterdir())) == 10


@pytest.mark.parametrize(("arguments", "status"), [((), 0), (("--fail-on-gate",), 3)])
def test_a_model_that_is_not_blessed_is_told(stage, arguments, status):
    stage.blessed = False
    result = stage.invoke(*arguments)
    assert result.exit_code == status
    told = "not blessed: it failed the gate and was not pushed; earlier pushed models stay in place"
    assert f"{told}\n  accuracy fell by 15 points" in result.output
    assert "what to do: Compression costs more than gate.max_drop allows: raise search.tau." in result.output
    assert f"report: {stage.output / 'report.html'}" in result.output


def test_fail_on_gate_lets_a_blessed_model_pass(stage):
    assert stage.invoke("--fail-on-gate").exit_code == 0


def test_a_failing_node_is_named_with_the_log(stage):
    cause = CompressorError("class 'cat' has no images: add some")
    stage.failure = NodeFailure("ImageExampleGen", cause)
    stage.failure.__cause__ = cause
    result = stage.invoke()
    assert result.exit_code == 1
    (log,) = (stage.output / "logs").iterdir()
    assert result.stderr == (
        "error: node ImageExampleGen failed: class 'cat' has no images: add some\n"
        "what to do: correct this, then re-run the command to resume\n"
        f"log: {log}\n"
    )
    assert "Traceback" not in result.output
    assert "Traceback" in log.read_text()


def test_any_other_failure_is_one_line(stage):
    stage.failure = OSError(28, "No space left on device")
    result = stage.invoke()
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: OSError: [Errno 28] No space left on device\n"
        "what to do: free some disk space, or choose another folder with --output, "
    )


def test_ctrl_c_says_how_to_go_on(stage):
    stage.failure = KeyboardInterrupt()
    result = stage.invoke()
    assert result.exit_code == 130
    assert result.stderr == ("stopped; finished nodes and trials are kept: re-run the command to resume\n")


def test_a_second_run_of_an_output_is_told_at_once(stage):
    stage.output.mkdir()
    with OutputLock(str(stage.output)).held():
        result = stage.invoke()
    assert result.exit_code == 2
    assert re.match(rf"error: output '{stage.output}' is in use by process {os.getpid()} on ", result.stderr)
    assert not stage.created
    assert stage.invoke().exit_code == 0


def test_a_damaged_metadata_store_is_told_and_repaired(stage):
    assert stage.invoke().exit_code == 0
    (stage.output / "metadata.sqlite").write_bytes(b"no database" * 1000)
    result = stage.invoke()
    assert result.exit_code == 2
    assert f"replace it by its copy with 'compressor repair {stage.output}'" in result.stderr
    repaired = CliRunner().invoke(cli.app, ["repair", str(stage.output)])
    assert (repaired.exit_code, "replaces it" in repaired.output) == (0, True)
    nowhere = CliRunner().invoke(cli.app, ["repair", str(stage.folder / "nowhere")])
    assert (nowhere.exit_code, "there is no run in" in nowhere.output) == (2, True)
    assert stage.invoke().exit_code == 0


def test_a_process_that_was_stopped_ends_soon():
    script = (
        "import sys, threading, time, typer\n"
        "from pipelines.cli import main as cli\n"
        "cli.app = lambda: (threading.Thread(target=time.sleep, args=[60]).start(), sys.exit(130))\n"
        "cli.main()\n"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script]).returncode == 130
    assert time.monotonic() - began < 30


def test_wrong_input_is_told_before_anything_is_written(stage):
    result = stage.invoke("--set", "search.tau=2")
    assert result.exit_code == 2
    assert result.stderr == f"error: {stage.config}: search.tau is 2: it must be at most 1.\n"
    assert not stage.output.exists()


def test_missing_data_folder_is_told(stage):
    result = stage.invoke("--data", str(stage.folder / "nowhere"))
    assert result.exit_code == 2
    assert "nowhere', which is not a folder" in result.stderr


def test_output_in_the_way_of_a_file_is_told(stage):
    stage.output.write_text("a file")
    result = stage.invoke()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: output '{stage.output}' cannot be written to")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_without_permission_is_told(stage):
    stage.output.mkdir(mode=0o500)
    result = stage.invoke()
    assert result.exit_code == 2
    assert "cannot be written to (Permission denied)" in result.stderr


def test_remote_output_is_refused(stage):
    result = stage.invoke("--output", "gs://bucket/run")
    assert result.exit_code == 2
    assert "is not on this machine" in result.stderr


def test_validate(stage):
    arguments = ["validate", "--config", str(stage.config)]
    right = CliRunner().invoke(cli.app, arguments)
    assert right.exit_code == 0, right.output
    assert right.output.startswith(f"{stage.config} is valid.\n")
    wrong = CliRunner().invoke(cli.app, [*arguments, "--set", "backbone.name=MobilNet"])
    assert wrong.exit_code == 2
    assert "Did you mean 'MobileNet'?" in wrong.stderr


def test_what_is_wrong_with_the_network_is_told_before_any_node_runs(stage):
    overrides = ["--set", "search.connections=['block_5_ad->head']"]
    validated = CliRunner().invoke(cli.app, ["validate", "--config", str(stage.config), *overrides])
    for result in (validated, stage.invoke(*overrides)):
        assert result.exit_code == 2
        assert "Did you mean 'block_5_add'?" in result.stderr
    assert stage.created == {}


def test_backbones_lists_sizes_parameters_and_connections(monkeypatch):
    from compressor_lib.networks import backbones

    few = {name: backbones.BACKBONES[name] for name in ("MobileNet", "MobileNetV2")}
    monkeypatch.setattr(backbones, "BACKBONES", few)
    result = CliRunner().invoke(cli.app, ["backbones"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["│", "MobileNet", "│", "224", "│", "3,228,864", "│", "23", "│", "70.4", "%", "│", "529M", "│"] in rows
    assert ["│", "MobileNetV2", "│", "224", "│", "2,257,984", "│", "31", "│", "71.3", "%", "│", "300M", "│"] in rows
    assert max(map(len, result.output.splitlines())) <= 80


def test_backbones_for_programs():
    listed = json.loads(CliRunner().invoke(cli.app, ["backbones", "--json"]).stdout)
    (one,) = (one for one in listed if one["name"] == "MobileNetV2")
    published = {"imagenet_accuracy": 0.713, "macs": 300_000_000}
    assert one == {"name": "MobileNetV2", "pixels": 224, "parameters": 2_257_984, "connections": 31, **published}


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["backbones"], ["backbones", "--json"]])
def test_light_commands_import_nothing_heavy(command):
    script = (
        "import sys\n"
        "from pipelines.cli.main import app\n"
        f"app({command!r}, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'tfx.types', 'keras', 'apache_beam', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(os.path.dirname(pipelines.__file__)),
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("before", "after"), [(None, "true"), ("false", "false")])
def test_tensorflow_keeps_its_memory_unless_told_otherwise(monkeypatch, before, after):
    monkeypatch.setenv("TF_CPU_ALLOCATOR_USE_BFC", before or "")  # so that it is as before when the test ends
    if before is None:
        monkeypatch.delenv("TF_CPU_ALLOCATOR_USE_BFC")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(cli, "app", lambda: None)
    cli.main()
    assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == after
