from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_schedulers import FakeSystem
from kubeflow_api import KubeflowApi
from typer.testing import CliRunner, Result

from pipelines.cli import main as cli
from pipelines.cli import platforms
from pipelines.platforms import kfp_hooks

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(platforms, "POLL", 0.01)


def compressor(*arguments: object, api: KubeflowApi | None = None) -> Result:
    platform = ["--target", "kubeflow", "--host", api.url] if api else []
    return CliRunner().invoke(cli.app, [str(argument) for argument in (*arguments, *platform)])


INVALID_PARAMETERS = [
    ("min_accuracy=1.01", "--param 'min_accuracy=1.01': gate.min_accuracy is 1.01: it must be at most 1."),
    ("tau=7", "--param 'tau=7': search.tau is 7.0: it must be at most 1."),
    ("tau=NaN", "search.tau is nan: it must be"),
    ("max_trials=0", "search.max_trials is 0: it must be more than 0."),
    ("max_trials=Infinity", "max_trials must be a whole number"),
    ("span_window=0", "data.span_window is 0: it must be at least 1."),
    ("span_pattern=span-{SPN}", "data.span_pattern is 'span-{SPN}': it must contain {SPAN}, as in 'span-{SPAN}'."),
    ("data_path=", "--param 'data_path=': data.path is missing"),
    ("push_directory=", "--param 'push_directory=': push.directory is empty: give a path."),
]


class TestSubmit:
    def submit(self, package: Path, *arguments: str, api: KubeflowApi | None = None) -> Result:
        return compressor("submit", package, "--any-version", *arguments, api=api)

    def test_a_run_is_started_and_its_page_told(self, api, package):
        result = self.submit(package, "--param", "tau=0.5", "--param", "max_trials=3", api=api)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"run   run-1\nwatch {api.url}/#/runs/details/run-1\n"
        assert api.runs["run-1"]["runtime_config"] == {
            "parameters": {"tau": 0.5, "max_trials": 3}, "pipeline_root": "gs://bucket/root/pipeline_root",
        }  # fmt: skip
        assert api.runs["run-1"]["display_name"] == "pictures"

    def test_waiting_tells_each_nodes_state_and_ends_well(self, api, package):
        api.nodes = {"retrain": "done", "PruningSearch": "cached", "Report": "skipped"}
        api.states = ["SUCCEEDED"]
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 0
        assert [line[10:] for line in result.stdout.splitlines()[2:-1]] == [
            "PruningSearch          cached", "retrain                done", "Report                 left out",
        ]  # fmt: skip
        assert result.stdout.endswith("\nthe run is done\n")

    def test_nodes_are_told_in_the_order_of_the_package(self, api, package):
        nodes = ("ImageExampleGen", "StatisticsGen", "SchemaGen", "Transform", "reference", "PruningSearch", "retrain",
                 "Converter", "Evaluator", "Pusher", "Report")  # fmt: skip
        api.nodes, api.states = dict.fromkeys(sorted(nodes), "done"), ["SUCCEEDED"]
        result = self.submit(package, "--wait", api=api)
        assert tuple(line.split()[1] for line in result.stdout.splitlines()[2:-1]) == nodes

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("failed", "retrain: main: Error (exit code 1)"),
            ("driver failed", "retrain: its driver failed: main: Error (exit code 1)"),
        ],
    )
    def test_a_failed_run_ends_badly_with_its_reason(self, api, package, how, reason):
        api.nodes, api.states = {"retrain": how, "Report": "omitted"}, ["FAILED"]
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 1
        assert result.stderr == f"error: {reason}\nlogs: {api.url}/#/runs/details/run-1\n"
        assert "Report                 left out\nthe run is failed\n" in result.stdout

    def test_a_run_that_says_no_more_names_what_failed(self, api, package):
        api.serves_v1, api.nodes, api.states = False, {"retrain": "failed"}, ["FAILED"]
        result = self.submit(package, "--wait", api=api)
        assert result.stderr.startswith("error: retrain failed\n")

    def test_a_cancelled_run_is_stopped(self, api, package):
        api.states = ["RUNNING", "CANCELING", "FAILED"]
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 1
        assert result.stdout.endswith("the run is stopped\n")
        assert result.stderr.startswith("error: it was cancelled\n")

    def test_a_run_that_is_deleted_meanwhile_ends_the_wait_at_once(self, api, package, monkeypatch):
        monkeypatch.setattr(platforms, "STATUS_ATTEMPTS", 1000)
        api.refused = {"runs/run-1": [404]}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert result.stderr == "error: run run-1 was deleted\n"
        assert api.asked.count("runs/run-1") == 1

    def test_nodes_that_are_noted_after_the_run_are_waited_for(self, api, package):
        api.states = ["SUCCEEDED"]
        api.nodes = [{"retrain": "running"}, {"retrain": "done"}]
        result = self.submit(package, "--wait", api=api)
        assert "retrain                running\n" in result.stdout
        assert "retrain                done\nthe run is done\n" in result.stdout

    def test_nodes_that_are_never_noted_do_not_hold_up_the_end(self, api, package):
        api.states, api.nodes = ["SUCCEEDED"], {"retrain": "running"}
        result = self.submit(package, "--wait", api=api)
        assert result.stdout.endswith("the run is done\n")

    def test_a_server_that_hangs_does_not_hold_up_the_end(self, api, package, monkeypatch):
        self.submit(package, api=api)
        monkeypatch.setattr(kfp_hooks, "PATIENCE", 0.5)
        monkeypatch.setattr(platforms, "STATUS_ATTEMPTS", 2)
        api.stalled = {"runs/run-2"}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert "cannot be reached: check --host and the network" in result.stderr

    def test_a_quota_that_is_used_up_half_way_loses_nothing(self, api, package):
        api.refused = {"runs": [429]}
        result = self.submit(package, api=api)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "a quota is exhausted: try again later; nothing is lost" in result.stderr
        assert self.submit(package, api=api).exit_code == 0
        assert [len(kept) for kept in (api.pipelines, api.experiments, api.runs)] == [1, 1, 1]

    def test_a_moment_without_an_answer_is_got_over(self, api, package):
        api.refused = {"runs/run-1": [429, 503, 401]}
        api.states = ["SUCCEEDED"]
        result = self.submit(package, "--wait", api=api)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("the run is done\n")

    def test_a_run_that_is_told_of_no_more_goes_on(self, api, package):
        api.refused = {"runs/run-1": [401] * platforms.STATUS_ATTEMPTS}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert "renew the token in $KFP_TOKEN" in result.stderr
        assert result.stderr.endswith(f"no longer followed; the run continues: {api.url}/#/runs/details/run-1\n")

    def test_the_code_of_a_package_is_that_which_is_installed(self, api, package):
        result = compressor("submit", package, api=api)
        assert result.exit_code == 2
        assert "compiled by another version of auto-compressor: compile it again" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--param", "taus=1"], "unknown parameter 'taus'. Did you mean 'tau'"),
            (["--param", "tau"], "--param 'tau' is not of the form name=value"),
            (["--param", "tau=high"], "--param 'tau=high': tau must be a number"),
            (["--param", "max_trials=1.5"], "max_trials must be a whole number"),
        ],
    )
    def test_wrong_parameters_are_told_before_anything_is_uploaded(self, api, package, arguments, message):
        result = self.submit(package, *arguments, api=api)
        assert result.exit_code == 2
        assert message in result.stderr
        assert api.pipelines == {}

    @pytest.mark.parametrize(("parameter", "message"), INVALID_PARAMETERS)
    def test_invalid_values_are_refused_before_anything_is_uploaded(self, api, package, parameter, message):
        result = self.submit(package, "--param", parameter, api=api)
        assert result.exit_code == 2
        assert message in result.stderr
        assert api.pipelines == {}

    def test_a_pattern_may_be_the_name_of_one_span(self, api, package):
        assert self.submit(package, "--param", "span_pattern=span-7", api=api).exit_code == 0
        assert api.runs["run-1"]["runtime_config"]["parameters"] == {"span_pattern": "span-7"}

    def test_what_is_no_package_is_told(self, api, tmp_path):
        other = tmp_path / "other.yaml"
        other.write_text("a: 1")
        for path, message in (
            (other, "is not a package of this project"),
            (tmp_path / "none", "does not exist: create one with 'compressor compile'"),
        ):
            result = self.submit(path, api=api)
            assert result.exit_code == 2
            assert message in result.stderr

    def test_platforms_need_their_options_and_their_packages(self, package, monkeypatch):
        for name in ("KFP_HOST", "GOOGLE_CLOUD_PROJECT"):
            monkeypatch.delenv(name, raising=False)
        for arguments, message in (
            ((package, "--target", "kubeflow"), "--target kubeflow needs --host"),
            ((GOLDEN / "vertex.json", "--target", "vertex"), "--target vertex needs --project and --region"),
            ((GOLDEN / "vertex.json", "--target", "kubeflow", "--host", "http://h"), "is compiled for vertex"),
        ):
            result = self.submit(*arguments)
            assert result.exit_code == 2
            assert message in result.stderr


class TestSchedule:
    def create(self, package: Path, api: KubeflowApi, *arguments: str) -> Result:
        cron = ("--cron", "0 3 * * 1", "--any-version")
        return compressor("schedule", "create", package, *cron, *arguments, api=api)

    def test_one_goes_through_its_life(self, api, package):
        made = self.create(package, api, "--param", "max_trials=3")
        assert made.exit_code == 0
        assert made.stdout.startswith("pictures: 0 3 * * 1, UTC (recurring_run-1)\nnext  Mon ")
        assert made.stdout.count("next") == 3
        assert made.stdout.endswith("UTC, unless CRON_SCHEDULE_TIMEZONE is set there\n")
        (recurring,) = api.recurring.values()
        assert recurring["runtime_config"]["parameters"] == {"max_trials": 3, "only_new_data": 1}
        assert "pictures  0 3 * * 1 UTC  Mon " in compressor("schedule", "list", api=api).stdout
        assert compressor("schedule", "pause", "pictures", api=api).stdout == "pictures is paused\n"
        assert compressor("schedule", "show", "pictures", api=api).stdout.endswith("paused\n")
        assert compressor("schedule", "resume", "pictures", api=api).stdout == "pictures is resumed\n"
        assert compressor("schedule", "run-now", "pictures", api=api).stdout.startswith("run   run-1\n")
        assert compressor("schedule", "delete", "pictures", api=api).stdout == "pictures is deleted\n"
        listed = compressor("schedule", "list", api=api)
        assert listed.stdout == ""
        assert listed.stderr == "no schedules; 'compressor schedule create' creates one\n"

    @pytest.mark.parametrize(("parameter", "message"), INVALID_PARAMETERS)
    def test_invalid_values_are_refused_before_anything_is_uploaded(self, api, package, parameter, message):
        result = self.create(package, api, "--param", parameter)
        assert result.exit_code == 2
        assert message in result.stderr
        assert (api.pipelines, api.recurring) == ({}, {})

    def test_a_time_zone_is_refused(self, api, package):
        result = self.create(package, api, "--time-zone", "Europe/Berlin")
        assert result.exit_code == 2
        assert "Kubeflow does not support time zones for schedules: omit --time-zone" in result.stderr
        assert (api.pipelines, api.recurring) == ({}, {})

    def test_a_cron_that_never_comes_is_told_before_anything_is_uploaded(self, api, package):
        result = compressor("schedule", "create", package, "--cron", "0 3 31 2 *", api=api)
        assert result.exit_code == 2
        assert "cron '0 3 31 2 *'" in result.stderr
        assert api.pipelines == {}

    def test_an_unknown_one_is_told(self, api):
        result = compressor("schedule", "show", "pictures", api=api)
        assert result.exit_code == 2
        assert result.stderr == "error: unknown schedule 'pictures'. There are none.\n"


@pytest.fixture
def system(tmp_path_factory, monkeypatch) -> FakeSystem:
    """A machine without schedulers."""
    monkeypatch.delenv("COMPRESSOR_SCHEDULES", raising=False)
    return FakeSystem(tmp_path_factory.mktemp("system"), monkeypatch)


@pytest.mark.usefixtures("system")
class TestSchedulesOfThisMachine:
    """Without --target."""

    @pytest.fixture
    def local(self, tmp_path) -> Callable[..., Result]:
        return lambda *arguments: compressor("schedule", *arguments, "--folder", tmp_path / "my schedules")

    @pytest.fixture
    def create(self, local, tmp_path) -> Callable[..., Result]:
        config = tmp_path / "config.yaml"
        config.write_text("name: weekly\ndata: {source: digits}\nbackbone: {name: MobileNetV2, weights: none}\n")
        return lambda *more: local("create", config, "--cron", "0 3 * * 1", "--set", "search.tau=0.9", *more)

    def test_one_goes_through_its_life(self, create, local):
        made = create()
        assert (made.exit_code, made.stderr) == (0, "")
        assert made.stdout.startswith("weekly: 0 3 * * 1, UTC (weekly.json)\nnext  Mon ")
        assert local("pause", "weekly").stdout == "weekly is paused\n"
        assert local("list").stdout == "weekly  0 3 * * 1 UTC  paused\n"
        assert local("resume", "weekly").stdout == "weekly is resumed\n"
        assert local("delete", "weekly").stdout == "weekly is deleted\n"

    def test_it_says_what_starts_the_runs(self, create, local, system, tmp_path):
        system.add_systemd()
        (told,) = (line for line in create().stdout.splitlines() if "starts its runs" in line)
        assert told.startswith("systemd starts its runs: ")
        shown = local("show", "weekly").stdout
        assert told in shown
        assert shown.endswith(f"log   {tmp_path}/my schedules/weekly.log\n")

    def test_where_nothing_does_it_says_what_must_run(self, create, tmp_path):
        (command,) = (line for line in create().stdout.splitlines() if "compressor schedule serve" in line)
        assert command == f"  compressor schedule serve --folder '{tmp_path}/my schedules'"

    def test_the_scheduler_can_be_named(self, create, system):
        system.add_systemd()
        made = create("--scheduler", "cron")
        assert made.exit_code == 2
        assert "--scheduler cron cannot start these runs, because the command crontab does not exist" in made.stderr
        assert "compressor schedule serve" in create("--scheduler", "serve").stdout

    def test_a_run_out_of_turn_is_a_run(self, create, local, monkeypatch, tmp_path):
        create()
        executed = []
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(os, "execv", lambda program, words: executed.append(words))
        result = local("run-now", "weekly")
        assert result.stdout.endswith(" weekly: starts\n")
        assert executed[0][-5:] == ["run", "--config", str(tmp_path / "config.yaml"), "--set", "search.tau=0.9"]

    def test_a_wrong_configuration_is_told_at_once(self, local, tmp_path):
        config = tmp_path / "config.yaml"
        config.write_text("name: weekly\n")
        result = local("create", config, "--cron", "0 3 * * 1")
        assert result.exit_code == 2
        assert "data is missing" in result.stderr

    def test_another_place_is_named(self, create):
        result = create("--target", "kubeflow")
        assert result.exit_code == 2
        assert "weekly" not in result.stdout

    def test_others_serve_themselves(self, api):
        result = compressor("schedule", "serve", api=api)
        assert result.exit_code == 2
        assert "this is for --target local" in result.stderr
