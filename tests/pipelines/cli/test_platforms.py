from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from kubeflow_api import KubeflowApi
from typer.testing import CliRunner, Result

from pipelines.cli import main as cli
from pipelines.cli import platforms
from pipelines.platforms import kubeflow_client
from pipelines.results.locks import locked

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(platforms, "POLL", 0.01)


def compressor(*arguments: object, api: KubeflowApi | None = None) -> Result:
    platform = ["--target", "kubeflow", "--host", api.url] if api else []
    return CliRunner().invoke(cli.app, [str(argument) for argument in (*arguments, *platform)])


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
        monkeypatch.setattr(platforms, "LOOKS", 1000)
        api.refused = {"runs/run-1": [404]}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert result.stderr == "error: run run-1 is not there any more: it was deleted\n"
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
        monkeypatch.setattr(kubeflow_client, "PATIENCE", 0.5)
        monkeypatch.setattr(platforms, "LOOKS", 2)
        api.stalled = {"runs/run-2"}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert "cannot be reached: check --host and the network" in result.stderr

    def test_a_quota_that_is_used_up_half_way_loses_nothing(self, api, package):
        api.refused = {"runs": [429]}
        result = self.submit(package, api=api)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "a quota is used up: try again later; nothing is lost" in result.stderr
        assert self.submit(package, api=api).exit_code == 0
        assert [len(kept) for kept in (api.pipelines, api.experiments, api.runs)] == [1, 1, 1]

    def test_a_moment_without_an_answer_is_got_over(self, api, package):
        api.refused = {"runs/run-1": [429, 503, 401]}
        api.states = ["SUCCEEDED"]
        result = self.submit(package, "--wait", api=api)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("the run is done\n")

    def test_a_run_that_is_told_of_no_more_goes_on(self, api, package):
        api.refused = {"runs/run-1": [401] * platforms.LOOKS}
        result = self.submit(package, "--wait", api=api)
        assert result.exit_code == 4
        assert "renew the one in $KFP_TOKEN" in result.stderr
        assert result.stderr.endswith(f"no longer followed; the run goes on: {api.url}/#/runs/details/run-1\n")

    def test_the_code_of_a_package_is_that_which_is_installed(self, api, package):
        result = compressor("submit", package, api=api)
        assert result.exit_code == 2
        assert "compiled by another version of auto-compressor: compile it again" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--param", "taus=1"], "unknown parameter 'taus'. Did you mean 'tau'"),
            (["--param", "tau"], "--param 'tau' has another form than name=value"),
            (["--param", "tau=high"], "--param 'tau=high': tau must be a number"),
            (["--param", "max_trials=1.5"], "max_trials must be a whole number"),
        ],
    )
    def test_wrong_parameters_are_told_before_anything_is_uploaded(self, api, package, arguments, message):
        result = self.submit(package, *arguments, api=api)
        assert result.exit_code == 2
        assert message in result.stderr
        assert api.pipelines == {}

    def test_what_is_no_package_is_told(self, api, tmp_path):
        other = tmp_path / "other.yaml"
        other.write_text("a: 1")
        for path, message in (
            (other, "is no package of this project"),
            (tmp_path / "none", "does not exist: make one by 'compressor compile'"),
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
        assert made.stdout.endswith("UTC, unless its CRON_SCHEDULE_TIMEZONE is another zone\n")
        (recurring,) = api.recurring.values()
        assert recurring["runtime_config"]["parameters"] == {"max_trials": 3, "only_new_data": 1}
        assert "pictures  0 3 * * 1 UTC  Mon " in compressor("schedule", "list", api=api).stdout
        assert compressor("schedule", "pause", "pictures", api=api).stdout == "pictures is paused\n"
        assert compressor("schedule", "show", "pictures", api=api).stdout.endswith("paused\n")
        assert compressor("schedule", "resume", "pictures", api=api).stdout == "pictures goes on\n"
        assert compressor("schedule", "run-now", "pictures", api=api).stdout.startswith("run   run-1\n")
        assert compressor("schedule", "delete", "pictures", api=api).stdout == "pictures is deleted\n"
        listed = compressor("schedule", "list", api=api)
        assert listed.stdout == ""
        assert listed.stderr == "no schedules; 'compressor schedule create' makes one\n"

    def test_a_time_zone_is_refused(self, api, package):
        result = self.create(package, api, "--time-zone", "Europe/Berlin")
        assert result.exit_code == 2
        assert "Kubeflow takes no time zone for a schedule: leave --time-zone out" in result.stderr
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


class TestSchedulesOfThisMachine:
    def local(self, tmp_path: Path, *arguments: object) -> Result:
        place = ("--target", "local", "--folder", tmp_path / "schedules")
        return compressor("schedule", *arguments, *place)

    def create(self, tmp_path: Path) -> Result:
        config = tmp_path / "config.yaml"
        config.write_text("name: weekly\ndata: {source: digits}\nbackbone: {name: MobileNetV2, weights: none}\n")
        return self.local(tmp_path, "create", config, "--cron", "0 3 * * 1", "--set", "search.tau=0.9")

    def test_one_is_made_of_a_configuration(self, tmp_path):
        made = self.create(tmp_path)
        assert (made.exit_code, made.stderr) == (0, "")
        assert made.stdout.startswith("weekly: 0 3 * * 1, UTC (weekly.json)\nnext  Mon ")
        assert self.local(tmp_path, "pause", "weekly").stdout == "weekly is paused\n"
        assert self.local(tmp_path, "list").stdout == "weekly  0 3 * * 1 UTC  paused\n"
        assert self.local(tmp_path, "delete", "weekly").exit_code == 0

    def test_other_schedulers_can_start_it(self, tmp_path):
        self.create(tmp_path)
        unit = self.local(tmp_path, "show", "weekly", "--print-systemd").stdout
        assert f"schedule serve --target local --folder {tmp_path / 'schedules'}\n" in unit
        lines = self.local(tmp_path, "show", "weekly", "--print-cron").stdout.splitlines()
        assert lines[0] == "CRON_TZ=UTC"
        assert lines[1].startswith("0 3 * * 1 cd ")
        assert lines[1].endswith(f"run --config {tmp_path / 'config.yaml'} --set search.tau=0.9")

    def test_a_wrong_configuration_is_told_at_once(self, tmp_path):
        config = tmp_path / "config.yaml"
        config.write_text("name: weekly\n")
        result = self.local(tmp_path, "create", config, "--cron", "0 3 * * 1")
        assert result.exit_code == 2
        assert "data is missing" in result.stderr

    def test_others_serve_themselves(self, api):
        result = compressor("schedule", "serve", api=api)
        assert result.exit_code == 2
        assert "this is for --target local" in result.stderr


class TestThisMachine:
    """Schedules of this machine, which is what is meant where no platform is named."""

    @pytest.fixture
    def create(self, tmp_path, monkeypatch):
        monkeypatch.delenv("COMPRESSOR_SCHEDULES", raising=False)
        config = tmp_path / "config.yaml"
        config.write_text("{name: digits, data: {source: digits}, backbone: {name: MobileNetV2, weights: none}}")
        folder = tmp_path / "my schedules"
        return lambda *more: compressor(
            "schedule", "create", config, "--cron", "0 3 * * 1", "--folder", folder, *more
        )  # fmt: skip

    def test_creating_one_says_how_its_runs_are_started(self, create, tmp_path):
        result = create()
        assert result.exit_code == 0, result.output
        ways = result.stdout.partition("nothing starts its runs yet; one of these does:\n")[2].splitlines()
        folder = f"--folder '{tmp_path}/my schedules'"
        assert ways[0].endswith(f"compressor schedule serve {folder}")
        assert ways[1].endswith(f"(crontab -l; compressor schedule show digits {folder} --print-cron) | crontab -")
        assert f"compressor schedule show digits {folder} --print-systemd > " in ways[2]
        for way in ways[1:]:  # what is written there is understood
            words = shlex.split(way.partition("compressor ")[2].partition(")")[0].partition(">")[0])
            assert CliRunner().invoke(cli.app, words).exit_code == 0

    def test_creating_one_says_who_serves_it(self, create, tmp_path):
        folder = tmp_path / "my schedules"
        folder.mkdir()
        with locked(folder / "runs.lock"):
            result = create()
        assert "its runs are started by 'compressor schedule serve', which runs since 2" in result.stdout
        assert "nothing starts" not in result.stdout

    @pytest.mark.parametrize("command", ["list", "show digits", "pause digits", "resume digits", "delete digits"])
    def test_other_commands_mean_this_machine_too(self, create, tmp_path, command):
        create()
        result = compressor("schedule", *command.split(), "--folder", tmp_path / "my schedules")
        assert result.exit_code == 0, result.output
        assert "digits" in result.stdout

    def test_another_place_is_named(self, create):
        result = create("--target", "kubeflow")
        assert result.exit_code == 2
        assert "digits" not in result.stdout
