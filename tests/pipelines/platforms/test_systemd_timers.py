from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from compressor_lib.errors import CompressorError
from pipelines.platforms import systemd_timers
from pipelines.platforms.cron import Cron
from pipelines.platforms.systemd_timers import SystemdTimers

FILE = Path("/a b/50%/weekly.json")
NAME = "compressor-weekly-c258b37e"
MONDAYS = Cron("0 3 * * 1", "Europe/Berlin")
COMMAND = ["/a b/python", "100%", "$HOME", 'say "x"\\', ""]
ANALYZE = shutil.which("systemd-analyze")


def units(system) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(system.units.glob("*"))}


class TestWhyNot:
    def test_systemd_of_the_user_answers(self, system):
        assert SystemdTimers().why_not(MONDAYS) == "systemd's user manager does not respond"
        system.add_systemd()
        assert SystemdTimers().why_not(MONDAYS) is None

    @pytest.mark.parametrize("fields", ["0 3 L * *", "0 3 * * 5L", "0 3 * * 1#2"])
    def test_l_and_nth_days_are_not_known(self, system, fields):
        system.add_systemd()
        assert SystemdTimers().why_not(Cron(fields, "UTC")) == f"systemd does not support '{fields}'"


class TestUnits:
    def test_they_are_written_and_the_timer_is_started(self, system):
        system.add_systemd()
        SystemdTimers().add(FILE, MONDAYS, COMMAND)
        service, timer = units(system).items()
        assert (service[0], timer[0]) == (f"{NAME}.service", f"{NAME}.timer")
        assert 'ExecStart="/a b/python" 100%% $$HOME "say \\"x\\"\\\\" ""\n' in service[1]
        assert "KillMode=mixed\n" in service[1]
        assert "OnCalendar=Mon *-*-* 3:0:00 Europe/Berlin\n" in timer[1]
        assert "Persistent=true\n" in timer[1]
        assert system.calls == ["--user daemon-reload", f"--user enable --now {NAME}.timer"]

    def test_a_schedule_of_another_folder_has_its_own(self, system):
        system.add_systemd()
        SystemdTimers().add(FILE, MONDAYS, COMMAND)
        SystemdTimers().add(Path("/other/weekly.json"), MONDAYS, COMMAND)
        assert len(units(system)) == 4
        SystemdTimers().remove(Path("/other/weekly.json"))
        assert list(units(system)) == [f"{NAME}.service", f"{NAME}.timer"]

    def test_removing_stops_the_timer_and_forgets_when_it_last_fired(self, system):
        system.add_systemd()
        SystemdTimers().add(FILE, MONDAYS, COMMAND)
        SystemdTimers().remove(FILE)
        assert units(system) == {}
        assert system.calls[2:] == [
            f"--user disable --now {NAME}.timer", f"--user clean --what=state {NAME}.timer", "--user daemon-reload",
        ]  # fmt: skip

    def test_they_are_removed_where_systemd_is_gone(self, system):
        system.add_systemd()
        SystemdTimers().add(FILE, MONDAYS, COMMAND)
        system.remove("systemctl")
        SystemdTimers().remove(FILE)
        assert units(system) == {}

    def test_removing_what_is_not_there_asks_nothing(self, system):
        SystemdTimers().remove(FILE)

    def test_what_systemd_refuses_is_told_and_leaves_nothing(self, system):
        system.add_systemd()
        with pytest.raises(CompressorError, match=r"enable --now .* failed: Failed to enable unit\.$"):
            SystemdTimers().add(Path("/a/refused.json"), MONDAYS, COMMAND)
        assert units(system) == {}

    def test_a_folder_that_takes_no_units_is_named(self, system):
        system.add_systemd()
        system.units.parent.mkdir(parents=True)
        system.units.touch()
        with pytest.raises(CompressorError, match=rf"'{system.units}' cannot be written: File exists"):
            SystemdTimers().add(FILE, MONDAYS, COMMAND)

    @pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
    def test_systemd_understands_them(self, system):
        system.add_systemd()
        SystemdTimers().add(FILE, Cron("*/20 3 1,15 JAN-MAR MON-FRI", "Europe/Berlin"), ["/bin/true", "a b", "100%"])
        done = subprocess.run(
            [ANALYZE, "verify", *system.units.glob("*")], capture_output=True, text=True
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


class TestState:
    def test_a_timer_that_is_gone_is_told(self, system):
        assert SystemdTimers().state(FILE).startswith("nothing starts its runs: ")

    def test_it_says_whether_runs_start_while_nobody_is_logged_in(self, system, monkeypatch, tmp_path):
        system.add_systemd()
        SystemdTimers().add(FILE, MONDAYS, COMMAND)
        monkeypatch.setattr(systemd_timers, "_LINGER", tmp_path)
        monkeypatch.setenv("LOGNAME", "me")
        shown, linger = SystemdTimers().state(FILE).splitlines()
        assert shown == f"systemd starts its runs: 'systemctl --user status {NAME}.timer' shows the timer"
        assert "'loginctl enable-linger'" in linger
        (tmp_path / "me").touch()
        assert SystemdTimers().state(FILE) == shown
