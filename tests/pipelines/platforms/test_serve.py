from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fake_schedulers import FakeSystem

from compressor_lib.errors import CompressorError
from pipelines.platforms.cron import Cron
from pipelines.platforms.local_schedules import SERVE_LOCK, LocalSchedules
from pipelines.platforms.schedulers import SchedulerName
from pipelines.platforms.serve import CronTrigger, Server

CONFIG = Path(__file__).parents[3] / "examples" / "digits.yaml"
DAILY = Cron("0 3 * * *", "UTC")
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)

SERVER = """
import sys
from pathlib import Path
from pipelines.platforms import serve
from pipelines.platforms.local_schedules import LocalSchedules
serve.RELOAD_INTERVAL = 0.1
LocalSchedules.command = lambda self, name: [sys.executable, "-S", "-c", sys.argv[2], name]
serve.Server(LocalSchedules(Path(sys.argv[1]))).serve()
"""
LONG_RUN = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    Path(f"{sys.argv[1]}-started").write_text(str(os.getpid()))
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.2)
    Path(f"{sys.argv[1]}-stopped").touch()
    sys.exit(130)
"""


@pytest.fixture
def schedules(tmp_path, monkeypatch, system: FakeSystem) -> LocalSchedules:
    monkeypatch.chdir(tmp_path)
    return LocalSchedules(tmp_path / "schedules")


def create(schedules: LocalSchedules, name: str, since: datetime | None = None, **given) -> None:
    schedules.create(CONFIG, name=name, cron=DAILY, **given)
    if since:
        schedules._edit(name, since=since)


class TestTimes:
    @pytest.mark.parametrize("fields", ["0 3 * * 0", "0 3 * * 1-5", "0 3 * * SUN", "30 2 13 * FRI", "0 3 L * *"])
    def test_they_are_those_that_show_lists(self, fields):
        cron, now = Cron(fields, "Europe/Berlin"), datetime(2026, 3, 1, tzinfo=timezone.utc)
        trigger, found = CronTrigger(cron), []
        for _ in range(20):
            found.append(trigger.get_next_fire_time(found[-1] if found else None, now))
            now = found[-1]
        assert found == cron.next_runs(20, datetime(2026, 3, 1, tzinfo=timezone.utc))

    def test_missed_ones_are_left_out(self):
        now = datetime(2026, 3, 1, tzinfo=timezone.utc)
        assert CronTrigger(DAILY).get_next_fire_time(LONG_AGO, now) == now + timedelta(hours=3)

    def test_one_that_never_comes_again_has_none(self):
        assert CronTrigger(Cron("@every 1h", "UTC")).get_next_fire_time(None, LONG_AGO) is None


class TestLook:
    @pytest.fixture
    def server(self, schedules) -> Server:
        return Server(schedules)

    def jobs(self, server: Server) -> dict[str, datetime]:
        server._reload()
        return {job.id: job.next_run_time for job in server._scheduler.get_jobs()}

    def test_schedules_come_and_go(self, server, schedules):
        assert self.jobs(server) == {}
        create(schedules, "a")
        create(schedules, "b")
        assert self.jobs(server) == dict.fromkeys("ab", DAILY.next_runs(1)[0])
        schedules.delete("a")
        assert list(self.jobs(server)) == ["b"]

    def test_one_that_was_missed_is_due(self, server, schedules):
        create(schedules, "a", since=LONG_AGO)
        assert self.jobs(server) == {"a": LONG_AGO + timedelta(hours=3)}

    def test_one_that_is_made_anew_replaces_the_first(self, server, schedules):
        create(schedules, "a", since=LONG_AGO)
        self.jobs(server)
        schedules.delete("a")
        create(schedules, "a")
        assert self.jobs(server) == {"a": DAILY.next_runs(1)[0]}

    def test_those_of_other_schedulers_are_left_to_them(self, server, schedules, system):
        system.add_systemd()
        create(schedules, "a")
        create(schedules, "b", scheduler=SchedulerName.serve)
        assert list(self.jobs(server)) == ["b"]

    def test_a_damaged_file_is_named_once_and_keeps_no_other_from_its_runs(self, server, schedules, capsys):
        create(schedules, "a")
        (schedules.folder / "broken.json").write_text("{")
        assert list(self.jobs(server)) == list(self.jobs(server)) == ["a"]
        assert capsys.readouterr().out.count("broken.json' is damaged") == 1


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not come")


class TestServe:
    @pytest.fixture
    def server(self, schedules) -> Iterator[subprocess.Popen[str]]:
        """A process that serves two schedules that are due, and runs one of them."""
        create(schedules, "a", since=LONG_AGO)
        create(schedules, "b", since=LONG_AGO + timedelta(days=1))
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(schedules.folder), LONG_RUN],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        wait_for(schedules.folder.parent / "a-started")
        yield server
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_stops_the_run_and_then_the_server(self, server, tmp_path, number):
        if number is signal.SIGINT:  # a terminal's Ctrl-C reaches both
            os.killpg(server.pid, number)
        else:
            server.send_signal(number)
        assert server.wait(timeout=20) == 0, server.stderr.read()
        assert (tmp_path / "a-stopped").exists()
        assert not (tmp_path / "b-started").exists()
        lines = [line.split(" ", 2)[-1] for line in server.stdout.read().splitlines()]
        assert lines[1:] == ["a: ended with status 130"]

    def test_runs_come_one_after_the_other(self, server, schedules, tmp_path):
        schedules._edit("a", last_started=datetime.now(timezone.utc))
        os.kill(int((tmp_path / "a-started").read_text()), signal.SIGINT)
        wait_for(tmp_path / "b-started")
        assert (tmp_path / "a-stopped").exists()

    def test_one_process_serves_a_folder(self, server, schedules):
        with pytest.raises(CompressorError, match=f"{SERVE_LOCK}' is held by process {server.pid} on "):
            Server(schedules).serve()

    def test_one_that_was_paused_or_deleted_meanwhile_does_not_run(self, server, schedules, tmp_path):
        create(schedules, "c", since=LONG_AGO)
        time.sleep(0.5)  # all wait for the first run now
        schedules.pause("b")
        schedules.delete("c")
        os.kill(int((tmp_path / "a-started").read_text()), signal.SIGINT)
        wait_for(tmp_path / "a-stopped")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0, server.stderr.read()
        assert list(tmp_path.glob("[bc]-started")) == []
