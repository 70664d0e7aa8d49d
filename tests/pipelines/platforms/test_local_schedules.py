from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fake_schedulers import FakeSystem

from compressor_lib.errors import CompressorError
from compressor_lib.support.processes import module_command
from pipelines.platforms import local_schedules
from pipelines.platforms.cron import Cron
from pipelines.platforms.local_schedules import SCHEDULERS, SERVE_LOCK, LocalSchedules
from pipelines.platforms.schedulers import SchedulerName

CONFIG = Path(__file__).parents[3] / "examples" / "digits.yaml"
MONDAYS = Cron("0 3 * * 1", "Europe/Berlin")
NOON = datetime(2026, 1, 4, 12, tzinfo=timezone.utc)

EDITOR = """
import sys
from pathlib import Path
from pipelines.platforms.local_schedules import LocalSchedules
schedules, field = LocalSchedules(Path(sys.argv[1])), sys.argv[2]
for number in range(50):
    schedules._edit("weekly", **{field: {"paused": bool, "directory": lambda it: Path(str(it))}[field](number % 2)})
    assert str(getattr(schedules.plan("weekly"), field)) in (str(number % 2), str(bool(number % 2)))
"""


@pytest.fixture(autouse=True)
def no_scheduler(system: FakeSystem) -> FakeSystem:
    """This machine has none, if a test adds none."""
    return system


@pytest.fixture
def schedules(tmp_path, monkeypatch) -> LocalSchedules:
    monkeypatch.chdir(tmp_path)
    return LocalSchedules(tmp_path / "schedules")


def create(schedules: LocalSchedules, name: str = "weekly", cron: Cron = MONDAYS, **given) -> None:
    schedules.create(CONFIG, name=name, cron=cron, **given)


class Clock:
    """Shows what a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(local_schedules, "_now", clock)
    return clock


class TestFiles:
    def test_a_schedule_is_a_file(self, schedules, tmp_path, clock):
        made = schedules.create(CONFIG, name="weekly", cron=MONDAYS, overrides=["search.tau=0.9"])
        assert (made.name, made.id, made.cron, made.paused) == ("weekly", "weekly.json", MONDAYS, False)
        assert made.next_run == MONDAYS.next_runs(1)[0]
        assert json.loads((schedules.folder / "weekly.json").read_text()) == {
            "config": str(CONFIG),
            "directory": str(tmp_path),
            "overrides": ["search.tau=0.9"],
            "cron": {"fields": "0 3 * * 1", "time_zone": "Europe/Berlin"},
            "paused": False,
            "created": "2026-01-04T12:00:00Z",
            "since": "2026-01-04T12:00:00Z",
            "last_started": None,
            "scheduler": "serve",
        }
        assert LocalSchedules(schedules.folder).schedules() == [made]
        assert list(schedules.folder.glob("*.tmp")) == []

    def test_a_file_of_an_older_version_is_served(self, schedules):
        create(schedules)
        file = schedules.folder / "weekly.json"
        file.write_text(file.read_text().replace('"scheduler": "serve"', '"last_status": 0'))
        assert schedules.plan("weekly").scheduler is SchedulerName.serve

    def test_the_newest_comes_first(self, schedules, clock):
        for name in ("b", "c", "a"):
            create(schedules, name)
            clock.now += timedelta(minutes=1)
        assert [schedule.name for schedule in schedules.schedules()] == ["a", "c", "b"]

    def test_a_relative_config_is_made_absolute(self, schedules, tmp_path):
        (tmp_path / "mine.yaml").write_text(CONFIG.read_text())
        schedules.create(Path("mine.yaml"), name="weekly", cron=MONDAYS)
        assert schedules.plan("weekly").config == tmp_path / "mine.yaml"

    def test_there_are_none_at_first(self, schedules):
        assert schedules.schedules() == []
        assert not schedules.folder.exists()

    @pytest.mark.parametrize("name", ["", "-a", "Weekly", "a/b", "../a", "a\n", "a" * 129])
    def test_a_wrong_name_is_refused(self, schedules, name):
        with pytest.raises(CompressorError, match="schedule name .* lower-case letters, digits and hyphens"):
            create(schedules, name)

    def test_a_name_is_given_once(self, schedules):
        create(schedules)
        with pytest.raises(CompressorError, match="'weekly' already exists: delete it"):
            create(schedules)

    def test_a_wrong_config_is_refused_at_once(self, schedules):
        with pytest.raises(CompressorError, match="tau"):
            create(schedules, overrides=["search.tau=2"])
        with pytest.raises(CompressorError, match="does not exist"):
            schedules.create(Path("none.yaml"), name="weekly", cron=MONDAYS)
        assert schedules.schedules() == []

    def test_a_file_that_gives_a_field_twice_is_refused(self, schedules):
        create(schedules)
        file = schedules.folder / "weekly.json"
        file.write_text(file.read_text().replace('"paused": false', '"paused": true,\n  "paused": false'))
        with pytest.raises(CompressorError, match=r"weekly.json': 'paused' is given twice, in line \d+ and"):
            schedules.schedules()

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda text: text[:50], "Invalid JSON"),
            (lambda text: "", "Invalid JSON"),
            (lambda text: text.replace('"paused": false', '"paused": "perhaps"'), "paused: "),
            (lambda text: text.replace("0 3 * * 1", "0 3 * *"), "cron: .*five fields"),
            (lambda text: text.replace("Europe/Berlin", "Europe/Bonn"), "cron: .*unknown time zone"),
            (lambda text: re.sub(r'Z"', '"', text), "created: .*timezone"),
        ],
    )
    def test_a_damaged_file_is_named(self, schedules, damage, message):
        create(schedules)
        file = schedules.folder / "weekly.json"
        file.write_text(damage(file.read_text()))
        with pytest.raises(CompressorError, match=rf"'{file}' is damaged \({message}"):
            schedules.schedules()
        schedules.delete("weekly")
        assert schedules.schedules() == []

    def test_a_folder_that_takes_no_files_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CompressorError, match=f"'{tmp_path / 'file'}' is not writable"):
            LocalSchedules(tmp_path / "file").create(CONFIG, name="weekly", cron=MONDAYS)

    @pytest.mark.parametrize("method", ["pause", "resume", "delete", "run_now", "plan", "state"])
    def test_an_unknown_name_is_told_with_the_nearest(self, schedules, method):
        create(schedules)
        with pytest.raises(CompressorError, match="unknown schedule 'weakly'. Did you mean 'weekly'"):
            getattr(schedules, method)("weakly")

    def test_a_form_that_only_other_platforms_know_is_refused(self, schedules):
        with pytest.raises(CompressorError, match="cron '@every 1h' does not have five fields"):
            create(schedules, cron=Cron.parse("@every 1h"))

    def test_a_paused_one_has_no_next_run(self, schedules):
        create(schedules)
        schedules.pause("weekly")
        (schedule,) = schedules.schedules()
        assert (schedule.paused, schedule.next_run) == (True, None)
        schedules.resume("weekly")
        (schedule,) = schedules.schedules()
        assert (schedule.paused, schedule.next_run is None) == (False, False)

    def test_two_processes_that_change_a_file_lose_nothing(self, schedules):
        create(schedules)
        editors = [
            subprocess.Popen([sys.executable, "-c", EDITOR, schedules.folder, field])
            for field in ("paused", "directory")
        ]
        assert [editor.wait() for editor in editors] == [0, 0]


class TestDue:
    def test_what_was_missed_is_due_once(self, schedules, clock):
        create(schedules)
        monday = datetime(2026, 1, 5, 2, tzinfo=timezone.utc)
        assert schedules.plan("weekly").due() == monday
        schedules._edit("weekly", last_started=monday + timedelta(days=16))
        assert schedules.plan("weekly").due() == monday + timedelta(days=21)

    def test_what_was_missed_in_a_pause_is_not_due(self, schedules, clock):
        create(schedules)
        schedules.pause("weekly")
        clock.now += timedelta(days=3)
        schedules.resume("weekly")
        assert schedules.plan("weekly").due() == datetime(2026, 1, 12, 2, tzinfo=timezone.utc)


class TestScheduler:
    def test_systemd_comes_first_then_cron_then_serve(self, schedules, system):
        create(schedules, "a")
        system.add_crontab()
        create(schedules, "b", Cron("0 3 * * 1", "UTC"))
        system.add_systemd()
        create(schedules, "c")
        assert [schedules.plan(name).scheduler.value for name in "abc"] == ["serve", "cron", "systemd"]
        words = f"schedule run-now b --target local --folder {schedules.folder} --scheduled"
        assert f"{words} # compressor: {schedules.folder}/b.json\n" in system.crontab
        (service,) = system.units.glob("*.service")
        assert f"{words.replace(' b ', ' c ')}\n" in service.read_text()

    def test_one_that_cannot_is_passed_over(self, schedules, system):
        system.add_crontab()
        system.add_systemd()
        create(schedules, cron=Cron("0 3 L * *", "UTC"))
        assert schedules.plan("weekly").scheduler is SchedulerName.serve

    def test_one_can_be_named(self, schedules, system):
        system.add_crontab()
        system.add_systemd()
        create(schedules, cron=Cron("0 3 * * 1", "UTC"), scheduler=SchedulerName.cron)
        assert "weekly.json" in system.crontab
        assert not system.units.exists()

    def test_a_named_one_that_cannot_is_refused(self, schedules):
        message = (
            "--scheduler systemd cannot start these runs, because systemd's user manager does not respond: choose "
            "another, such as serve."
        )
        with pytest.raises(CompressorError, match=message):
            create(schedules, scheduler=SchedulerName.systemd)

    def test_one_that_refuses_leaves_no_file(self, schedules, system):
        system.add_crontab()
        with pytest.raises(CompressorError, match="bad minute"):
            create(schedules, "refused", Cron("0 3 * * 1", "UTC"))
        assert schedules.schedules() == []

    @pytest.mark.parametrize("scheduler", [SchedulerName.systemd, SchedulerName.cron])
    def test_deleting_removes_a_damaged_one_from_it_too(self, schedules, system, scheduler):
        system.add_crontab("# mine\n")
        system.add_systemd()
        create(schedules, cron=Cron("0 3 * * 1", "UTC"), scheduler=scheduler)
        (schedules.folder / "weekly.json").write_text("{")
        schedules.delete("weekly")
        assert system.crontab == "# mine\n"
        assert list(system.units.glob("*")) == []

    def test_its_state_is_told_with_the_log(self, schedules, system):
        system.add_crontab()
        create(schedules, cron=Cron("0 3 * * 1", "UTC"))
        shown = "cron starts its runs: 'crontab -l' shows its line"
        assert schedules.state("weekly") == f"{shown}\nlog   {schedules.folder}/weekly.log"

    def test_serve_is_to_be_started_or_runs(self, schedules):
        create(schedules)
        start = f"while this command is running:\n  compressor schedule serve --folder {schedules.folder}"
        assert schedules.state("weekly").endswith(start)
        with schedules.locked(SERVE_LOCK):
            assert schedules.state("weekly").startswith(
                "'compressor schedule serve' starts its runs; it has been running since 2"
            )

    def test_all_names_but_serve_have_one(self):
        assert set(SCHEDULERS) == set(SchedulerName) - {SchedulerName.serve}


RUN = """
import os, sys
from pathlib import Path
print("ran in", os.getcwd(), flush=True)
if len(sys.argv) > 1:
    os.mkfifo("started")
    Path("started").write_text("")  # waits until somebody reads it
    Path("end").read_text()
sys.exit(3)
"""
RUNNER = """
import sys
from pathlib import Path
from compressor_lib.errors import CompressorError
from pipelines.platforms.local_schedules import LocalSchedules
from pipelines.platforms.schedule_file import Plan
folder, run, name, mode = sys.argv[1:]
Plan.command = lambda plan: [sys.executable, "-S", "-c", run, *(["wait"] if mode == "wait" else [])]
try:
    LocalSchedules(Path(folder)).run_now(name, scheduled=mode == "scheduled")
except CompressorError as error:
    sys.exit(f"error: {error}")
"""


class TestRunNow:
    @pytest.fixture
    def start(self, schedules):
        def start(name: str, mode: str = "now") -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(schedules.folder), RUN, name, mode],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            )  # fmt: skip

        return start

    def test_the_process_is_the_run(self, schedules, start, tmp_path):
        create(schedules)
        runner = start("weekly")
        out, err = runner.communicate()
        assert (runner.returncode, err) == (3, "")
        assert out.splitlines()[0].endswith(" weekly: starts")
        assert out.splitlines()[1] == f"ran in {tmp_path}"
        assert schedules.plan("weekly").last_started > schedules.plan("weekly").created

    def test_at_its_time_its_log_takes_what_it_says(self, schedules, start, tmp_path):
        create(schedules)
        for _ in range(2):
            assert start("weekly", "scheduled").communicate() == ("", "")
        log = schedules.folder / "weekly.log"
        assert log.read_text().count(f" weekly: starts\nran in {tmp_path}\n") == 2

    def test_a_paused_one_has_no_time_but_can_be_run(self, schedules, start):
        create(schedules)
        schedules.pause("weekly")
        runner = start("weekly", "scheduled")
        assert (*runner.communicate(), runner.returncode) == ("", "", 0)
        assert (schedules.folder / "weekly.log").read_text() == ""
        assert "ran in" in start("weekly").communicate()[0]

    def test_one_schedule_has_one_run_and_another_waits_for_it(self, schedules, start, tmp_path):
        create(schedules)
        create(schedules, "daily")
        os.mkfifo(tmp_path / "end")
        first = start("weekly", "wait")
        assert first.stdout.readline().endswith("weekly: starts\n")
        same, other = start("weekly"), start("daily")
        error = same.communicate()[1]
        assert f"weekly.lock' is held by process {first.pid} on " in error
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
        while not (tmp_path / "started").exists():
            pass
        (tmp_path / "started").read_text()
        (tmp_path / "end").write_text("")
        assert [first.wait(), other.wait()] == [3, 3]
        for process in (first, other):
            process.communicate()

    def test_a_lost_folder_is_named(self, schedules, start, tmp_path, monkeypatch):
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        create(schedules)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "gone").rmdir()
        assert f"no run can be started in '{tmp_path / 'gone'}'" in start("weekly").communicate()[1]


class TestCommand:
    def test_it_is_the_command_line_of_this_python(self, schedules):
        create(schedules, overrides=["search.tau=0.9", "output='/a b'"])
        assert schedules.plan("weekly").command() == [
            *module_command("pipelines.cli"), "run", "--config", str(CONFIG),
            *("--set", "search.tau=0.9", "--set", "output='/a b'"),
        ]  # fmt: skip

    def test_the_module_can_be_run(self):
        command = [*module_command("pipelines.cli"), "run", "--config", "none.yaml"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert "error: config file 'none.yaml' does not exist" in done.stderr
