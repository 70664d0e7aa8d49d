from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.support.processes import module_command
from pipelines.platforms import local_schedules
from pipelines.platforms.cron import Cron
from pipelines.platforms.local_schedules import LOOK, LocalSchedules
from pipelines.platforms.schedule_file import Plan

CONFIG = Path(__file__).parents[3] / "examples" / "digits.yaml"
MONDAYS = Cron("0 3 * * 1", "Europe/Berlin")
SUNDAY = datetime(2026, 1, 4, 12, tzinfo=timezone.utc)
HOUR = 3600.0


EDITOR = """
import sys
from pathlib import Path
from pipelines.platforms.local_schedules import LocalSchedules
schedules, field = LocalSchedules(Path(sys.argv[1])), sys.argv[2]
for number in range(300):
    schedules._edit("weekly", **{field: {"paused": bool, "last_status": int}[field](number % 2)})
    assert getattr(schedules.plan("weekly"), field) == number % 2
"""


class Machine:
    """A clock that waits at once, and runs that write down when they were."""

    def __init__(self, folder: Path) -> None:
        self.now, self.end, self.step = SUNDAY, SUNDAY, HOUR
        self.runs: list[str] = []
        self.lines: list[str] = []
        self.status, self.takes = 0, timedelta()
        self.schedules = LocalSchedules(
            folder, command=self.command, now=lambda: self.now, wait=self.wait, tell=self.lines.append
        )

    def command(self, plan: Plan) -> list[str]:
        self.runs.append(f"{self.now:%a %d. %H:%M}")
        self.now += self.takes
        if self.takes and self.now >= self.end:  # it may never come to waiting
            signal.raise_signal(signal.SIGTERM)
        return [sys.executable, "-S", "-c", f"raise SystemExit({self.status})"]

    def wait(self, seconds: float) -> None:
        assert seconds == LOOK
        if self.now >= self.end:
            signal.raise_signal(signal.SIGTERM)
        else:
            self.now += timedelta(seconds=self.step)

    def serve(self, days: float) -> None:
        self.end = self.now + timedelta(days)
        self.schedules.serve()

    def create(self, name: str = "weekly", cron: Cron = MONDAYS, **given) -> None:
        self.schedules.create(CONFIG, name=name, cron=cron, **given)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "schedules"


@pytest.fixture
def machine(folder, tmp_path, monkeypatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    return Machine(folder)


class TestFiles:
    def test_a_schedule_is_a_file(self, machine, folder, tmp_path):
        made = machine.schedules.create(CONFIG, name="weekly", cron=MONDAYS, overrides=["search.tau=0.9"])
        assert (made.name, made.id, made.cron, made.paused) == ("weekly", "weekly.json", MONDAYS, False)
        assert made.next_run.isoformat() == "2026-01-05T03:00:00+01:00"
        assert json.loads((folder / "weekly.json").read_text()) == {
            "config": str(CONFIG),
            "directory": str(tmp_path),
            "overrides": ["search.tau=0.9"],
            "cron": {"fields": "0 3 * * 1", "time_zone": "Europe/Berlin"},
            "paused": False,
            "created": "2026-01-04T12:00:00Z",
            "since": "2026-01-04T12:00:00Z",
            "last_started": None,
            "last_status": None,
        }
        assert LocalSchedules(folder, now=lambda: SUNDAY).schedules() == [made]
        assert list(folder.glob("*.tmp")) == []

    def test_the_newest_comes_first(self, machine):
        for name in ("b", "c", "a"):
            machine.create(name)
            machine.now += timedelta(minutes=1)
        assert [schedule.name for schedule in machine.schedules.schedules()] == ["a", "c", "b"]

    def test_a_relative_config_is_made_absolute(self, machine, tmp_path):
        (tmp_path / "mine.yaml").write_text(CONFIG.read_text())
        machine.schedules.create(Path("mine.yaml"), name="weekly", cron=MONDAYS)
        assert machine.schedules.plan("weekly").config == tmp_path / "mine.yaml"

    def test_there_are_none_at_first(self, machine, folder):
        assert machine.schedules.schedules() == []
        assert not folder.exists()

    @pytest.mark.parametrize("name", ["", "-a", "Weekly", "a/b", "../a", "a\n", "a" * 129])
    def test_a_wrong_name_is_refused(self, machine, name):
        with pytest.raises(CompressorError, match="schedule name .* small letters, digits and hyphens"):
            machine.create(name)

    def test_a_name_is_given_once(self, machine):
        machine.create()
        with pytest.raises(CompressorError, match="'weekly' is there already: delete it"):
            machine.create()

    def test_a_wrong_config_is_refused_at_once(self, machine):
        with pytest.raises(CompressorError, match="tau"):
            machine.create(overrides=["search.tau=2"])
        with pytest.raises(CompressorError, match="does not exist"):
            machine.schedules.create(Path("none.yaml"), name="weekly", cron=MONDAYS)
        assert machine.schedules.schedules() == []

    def test_a_file_that_gives_a_field_twice_is_refused(self, machine, folder):
        machine.create()
        file = folder / "weekly.json"
        file.write_text(file.read_text().replace('"paused": false', '"paused": true,\n  "paused": false'))
        with pytest.raises(CompressorError, match=r"weekly.json': 'paused' is given twice, in line \d+ and"):
            machine.schedules.schedules()

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda text: text[:50], "Invalid JSON"),
            (lambda text: "", "Invalid JSON"),
            (lambda text: text.replace('"paused": false', '"paused": "perhaps"'), "paused: "),
            (lambda text: text.replace("0 3 * * 1", "0 3 * *"), "cron: .*five fields"),
            (lambda text: text.replace("Europe/Berlin", "Europe/Bonn"), "cron: .*unknown time zone"),
            (lambda text: text.replace("12:00:00Z", "12:00:00"), "created: .*timezone"),
        ],
    )
    def test_a_damaged_file_is_named(self, machine, folder, damage, message):
        machine.create()
        file = folder / "weekly.json"
        file.write_text(damage(file.read_text()))
        with pytest.raises(CompressorError, match=rf"'{file}' is damaged \({message}"):
            machine.schedules.schedules()
        machine.schedules.delete("weekly")
        assert machine.schedules.schedules() == []

    def test_a_folder_that_takes_no_files_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CompressorError, match=f"'{tmp_path / 'file'}' takes no schedules"):
            LocalSchedules(tmp_path / "file").create(CONFIG, name="weekly", cron=MONDAYS)

    @pytest.mark.parametrize("method", ["pause", "resume", "delete", "run_now", "plan", "print_cron", "print_systemd"])
    def test_an_unknown_name_is_told_with_the_nearest(self, machine, method):
        machine.create()
        with pytest.raises(CompressorError, match="unknown schedule 'weakly'. Did you mean 'weekly'"):
            getattr(machine.schedules, method)("weakly")

    def test_a_paused_one_has_no_next_run(self, machine):
        machine.create()
        machine.schedules.pause("weekly")
        (schedule,) = machine.schedules.schedules()
        assert (schedule.paused, schedule.next_run) == (True, None)
        machine.schedules.resume("weekly")
        (schedule,) = machine.schedules.schedules()
        assert (schedule.paused, schedule.next_run is None) == (False, False)

    def test_two_processes_that_change_a_file_lose_nothing(self, machine, folder):
        machine.create()
        editors = [
            subprocess.Popen([sys.executable, "-c", EDITOR, folder, field]) for field in ("paused", "last_status")
        ]
        assert [editor.wait() for editor in editors] == [0, 0]


class TestServe:
    def test_it_runs_at_the_times(self, machine):
        machine.create()
        machine.serve(days=15)
        assert machine.runs == ["Mon 05. 02:00", "Mon 12. 02:00", "Mon 19. 02:00"]
        plan = machine.schedules.plan("weekly")
        assert plan.last_started == datetime(2026, 1, 19, 2, tzinfo=timezone.utc)
        assert plan.last_status == 0
        assert [line.split(" ", 2)[-1] for line in machine.lines[1:3]] == [
            "weekly: starts",
            "weekly: ended with status 0",
        ]

    def test_a_failed_run_is_noted_and_the_next_one_comes(self, machine):
        machine.create()
        machine.status = 3
        machine.serve(days=8)
        assert len(machine.runs) == 2
        assert machine.schedules.plan("weekly").last_status == 3

    def test_a_start_is_noted_before_the_run(self, machine, monkeypatch):
        machine.create()
        seen = []
        monkeypatch.setattr(
            machine.schedules, "_ended", lambda plan, lock: seen.append(machine.schedules.plan("weekly")) or 0
        )
        machine.serve(days=1)
        assert [(plan.last_started, plan.last_status) for plan in seen] == [
            (datetime(2026, 1, 5, 2, tzinfo=timezone.utc), None)
        ]

    def test_what_was_missed_is_made_up_for_once(self, machine):
        machine.create()
        machine.now += timedelta(days=24)
        machine.serve(days=1)
        assert machine.runs == ["Wed 28. 12:00"]

    def test_what_was_missed_after_a_run_is_made_up_for_once(self, machine):
        machine.create()
        machine.serve(days=1)
        machine.now += timedelta(days=16)
        machine.serve(days=1)
        assert machine.runs == ["Mon 05. 02:00", "Wed 21. 12:00"]

    def test_a_paused_schedule_does_not_run_nor_make_up(self, machine):
        machine.create()
        machine.schedules.pause("weekly")
        machine.serve(days=3)
        machine.schedules.resume("weekly")
        machine.serve(days=3)
        assert machine.runs == []
        machine.serve(days=3)
        assert machine.runs == ["Mon 12. 02:00"]

    def test_runs_come_one_after_the_other_the_longest_due_first(self, machine):
        machine.create("hourly", Cron("0 * * * *", "UTC"))
        machine.create("daily", Cron("30 13 * * *", "UTC"))
        machine.takes = timedelta(hours=2.75)
        order = []
        command = machine.command
        machine.schedules._command = lambda plan: order.append(plan.cron.fields[:2]) or command(plan)
        machine.serve(days=0.3)
        assert order[:3] == ["0 ", "30", "0 "]
        assert machine.runs[:3] == ["Sun 04. 13:00", "Sun 04. 15:45", "Sun 04. 18:30"]

    def test_changes_are_seen_while_it_waits(self, machine):
        wait = machine.wait

        def changed_meanwhile(seconds: float) -> None:
            if machine.now == SUNDAY:
                machine.create()
            if machine.runs and machine.schedules.schedules():
                machine.schedules.delete("weekly")
            wait(seconds)

        machine.schedules._wait = changed_meanwhile
        machine.serve(days=15)
        assert machine.runs == ["Mon 05. 02:00"]

    def test_a_schedule_that_its_run_outlives_stays_deleted(self, machine, folder):
        machine.create()
        command = machine.command
        machine.schedules._command = lambda plan: (machine.schedules.delete("weekly"), command(plan))[1]
        machine.serve(days=8)
        assert machine.runs == ["Mon 05. 02:00"]
        assert list(folder.glob("*.json")) == []

    def test_a_damaged_file_keeps_no_other_from_its_runs(self, machine, folder):
        machine.create()
        (folder / "broken.json").write_text("{")
        machine.serve(days=1)
        assert machine.runs == ["Mon 05. 02:00"]
        assert len([line for line in machine.lines if "broken.json' is damaged" in line]) == 1

    def test_a_lost_folder_ends_no_server(self, machine, tmp_path, monkeypatch):
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        machine.create()
        monkeypatch.chdir(tmp_path)
        (tmp_path / "gone").rmdir()
        machine.serve(days=8)
        assert len(machine.runs) == 2
        assert machine.schedules.plan("weekly").last_status == 127
        assert any(f"no run can be started in '{tmp_path / 'gone'}'" in line for line in machine.lines)

    def test_the_hour_that_comes_twice_brings_one_run(self, machine):
        machine.now, machine.step = datetime(2026, 10, 24, 23, 50, tzinfo=timezone.utc), 600
        machine.create("nightly", Cron("30 2 * * *", "Europe/Berlin"))
        machine.serve(days=1)
        assert machine.runs == ["Sun 25. 00:30"]

    def test_one_made_in_the_hour_that_comes_again_waits_for_the_next_day(self, machine):
        machine.now, machine.step = datetime(2026, 10, 25, 1, 10, tzinfo=timezone.utc), 600
        machine.create("nightly", Cron("30 2 * * *", "Europe/Berlin"))
        machine.serve(days=1.1)
        assert machine.runs == ["Mon 26. 01:30"]

    def test_signals_are_as_before_when_it_ends(self, machine):
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        machine.serve(days=0)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


class TestRunNow:
    def test_it_gives_the_status_and_notes_it(self, machine):
        machine.create()
        machine.status = 3
        assert machine.schedules.run_now("weekly") == 3
        plan = machine.schedules.plan("weekly")
        assert (plan.last_started, plan.last_status) == (SUNDAY, 3)

    def test_a_paused_schedule_can_be_run(self, machine):
        machine.create()
        machine.schedules.pause("weekly")
        assert machine.schedules.run_now("weekly") == 0
        assert machine.schedules.plan("weekly").paused

    def test_it_is_refused_while_another_serves(self, machine, folder):
        machine.create()
        others = []

        def wait(seconds: float) -> None:
            for method in (lambda other: other.run_now("weekly"), LocalSchedules.serve):
                with pytest.raises(
                    CompressorError, match=f"process {os.getpid()} on .*: it starts the runs here"
                ) as refused:
                    method(LocalSchedules(folder))
                others.append(refused)
            signal.raise_signal(signal.SIGTERM)

        machine.schedules._wait = wait
        machine.serve(days=0)
        assert len(others) == 2
        assert machine.schedules.run_now("weekly") == 0


SERVER = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests themselves are run by, such as nohup
from pipelines.platforms.local_schedules import LocalSchedules
schedules = LocalSchedules(Path(sys.argv[1]), command=lambda plan: [sys.executable, "-S", "-c", sys.argv[2]])
sys.exit(getattr(schedules, sys.argv[3])(*sys.argv[4:]))
"""
LONG_RUN = """
import os, sys, time
from pathlib import Path
try:
    Path("started").write_text(str(os.getpid()))
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.2)
    Path("stopped").touch()
    sys.exit(130)
"""


class Processes:
    """Servers in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.all = folder, []

    def start(self, *method: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.folder), LONG_RUN, *method],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.all.append(process)
        return process


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not come")


class TestProcesses:
    @pytest.fixture
    def processes(self, machine, folder) -> Iterator[Processes]:
        machine.create(cron=Cron("* * * * *", "UTC"))  # long due
        processes = Processes(folder)
        yield processes
        for process in processes.all:
            process.kill()
            process.communicate()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_stops_the_run_and_then_the_server(self, processes, machine, tmp_path, number):
        server = processes.start("serve")
        wait_for(tmp_path / "started")
        assert machine.schedules.plan("weekly").last_status is None
        server.send_signal(number)
        assert server.wait(timeout=20) == 0, server.stderr.read()
        assert (tmp_path / "stopped").exists()
        assert machine.schedules.plan("weekly").last_status == 130

    def test_a_server_that_waits_is_stopped_too(self, processes, machine, folder, tmp_path):
        machine.schedules.pause("weekly")
        server = processes.start("serve")
        assert server.stdout.readline() == f"{folder}: serving weekly; Ctrl-C ends it\n"
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0, server.stderr.read()
        assert not (tmp_path / "started").exists()

    def test_run_now_is_stopped_likewise(self, processes, tmp_path):
        runner = processes.start("run_now", "weekly")
        wait_for(tmp_path / "started")
        runner.send_signal(signal.SIGINT)
        assert runner.wait(timeout=20) == 130
        assert (tmp_path / "stopped").exists()

    def test_one_process_has_the_lock_and_its_run_keeps_it(self, processes, machine, tmp_path):
        server = processes.start("serve")
        wait_for(tmp_path / "started")
        for other in (processes.start("serve"), processes.start("run_now", "weekly")):
            told = other.communicate(timeout=20)[1]
            assert f"process {server.pid} on " in told
            assert "or a run that it left behind, holds" in told
            assert other.returncode == 1
        server.kill()
        server.wait()
        try:
            with pytest.raises(CompressorError, match=f"process {server.pid} on .*, or a run that it left behind"):
                machine.schedules.run_now("weekly")
        finally:
            run = int((tmp_path / "started").read_text())
            os.kill(run, signal.SIGINT)
        wait_for(tmp_path / "stopped")


class TestCommand:
    def test_it_is_the_command_line_of_this_python(self, machine):
        machine.create(overrides=["search.tau=0.9", "output='/a b'"])
        assert machine.schedules.plan("weekly").command() == [
            *module_command("pipelines.cli"), "run", "--config", str(CONFIG),
            *("--set", "search.tau=0.9", "--set", "output='/a b'"),
        ]  # fmt: skip

    def test_the_module_can_be_run(self):
        command = [*module_command("pipelines.cli"), "run", "--config", "none.yaml"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert "error: config file 'none.yaml' does not exist" in done.stderr


class TestUnits:
    def test_a_crontab_line_does_the_same(self, folder, tmp_path, monkeypatch):
        directory = tmp_path / "it's 100%"
        directory.mkdir()
        monkeypatch.chdir(directory)
        schedules = LocalSchedules(folder)
        schedules.create(CONFIG, name="weekly", cron=MONDAYS, overrides=["output='$HOME/50% done'"])
        zone, line, end = schedules.print_cron("weekly").split("\n")
        assert (zone, end) == ("CRON_TZ=Europe/Berlin", "")
        assert line.startswith("0 3 * * 1 cd ")
        assert line.count("%") == line.count(r"\%") == 2
        words = shlex.split(line.removeprefix("0 3 * * 1 ").replace(r"\%", "%"))
        assert words == ["cd", str(directory), "&&", *schedules.plan("weekly").command()]

    @pytest.mark.parametrize("fields", ["0 3 L * *", "0 3 * * 5L", "0 3 * * 1#2"])
    def test_what_no_crontab_knows_is_refused(self, machine, fields):
        machine.create(cron=Cron(fields, "UTC"))
        with pytest.raises(CompressorError, match=f"'weekly' runs at .*{fields[-2:]}.* crontabs do not know"):
            machine.schedules.print_cron("weekly")

    def test_months_and_days_by_name_are_known(self, machine):
        machine.create(cron=Cron("0 3 * JUL MON", "UTC"))
        assert "\n0 3 * JUL MON cd " in machine.schedules.print_cron("weekly")

    def test_a_line_break_is_refused(self, machine):
        machine.create(overrides=["output='a\n\n b'"])
        with pytest.raises(CompressorError, match="'weekly' has a line break"):
            LocalSchedules(machine.schedules._folder).print_cron("weekly")

    def test_a_service_keeps_the_server_running(self, machine):
        machine.create()
        unit = machine.schedules.print_systemd("weekly").splitlines()
        (command,) = (line for line in unit if line.startswith("ExecStart="))
        served = f"ExecStart={shlex.join(module_command('pipelines.cli'))} schedule serve --target local --folder "
        assert command.startswith(served)
        assert "Restart=on-failure" in unit
        assert "KillMode=mixed" in unit

    def test_its_words_are_quoted_as_systemd_wants_it(self, machine, monkeypatch):
        machine.create()
        monkeypatch.setattr(local_schedules, "SERVE", ("/a b/python", "100%", "$HOME", 'say "x"\\', ""))
        unit = machine.schedules.print_systemd("weekly")
        assert r'ExecStart="/a b/python" 100%% $$HOME "say \"x\"\\" "" --folder' in unit
