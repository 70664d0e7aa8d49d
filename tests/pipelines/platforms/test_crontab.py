from __future__ import annotations

from pathlib import Path

import pytest

from compressor_lib.errors import CompressorError
from pipelines.platforms import crontab as crontab_module
from pipelines.platforms.cron import Cron
from pipelines.platforms.crontab import Crontab

FILE = Path("/a b/50%/weekly.json")
MONDAYS = Cron("0 3 * * 1", "UTC")
COMMAND = ["/p y/python", "run-now", "weekly", "it's 50%"]
LINE = r"""0 3 * * 1 '/p y/python' run-now weekly 'it'"'"'s 50\%' # compressor: /a b/50\%/weekly.json"""
OTHERS = "# mine\nMAILTO=me\n\n5 * * * * echo \\% # compressor: /other/weekly.json\n"


@pytest.fixture(autouse=True)
def utc(monkeypatch, tmp_path):
    """A machine whose clock shows UTC."""
    monkeypatch.setattr(crontab_module, "_LOCAL_TIME", tmp_path / "none")


class TestWhyNot:
    def test_it_is_the_command_crontab(self, system):
        assert Crontab().why_not(MONDAYS) == "the command crontab does not exist"
        system.add_crontab()
        assert Crontab().why_not(MONDAYS) is None

    @pytest.mark.parametrize("fields", ["0 3 L * *", "0 3 * * 5L", "0 3 * * 1#2"])
    def test_l_and_nth_days_are_not_known(self, system, fields):
        system.add_crontab()
        assert Crontab().why_not(Cron(fields, "UTC")) == f"cron does not support '{fields}'"

    def test_names_of_days_and_months_are_known(self, system):
        system.add_crontab()
        assert Crontab().why_not(Cron("0 3 * JUL MON", "UTC")) is None

    def test_times_are_in_the_zone_of_the_machine(self, system, monkeypatch):
        system.add_crontab()
        message = "cron uses this machine's time zone, which is not {}"
        assert Crontab().why_not(Cron("0 3 * * 1", "Etc/UTC")) is None
        assert Crontab().why_not(Cron("0 3 * * 1", "Europe/London")) == message.format("Europe/London")
        monkeypatch.setattr(crontab_module, "_LOCAL_TIME", Path("/usr/share/zoneinfo/Europe/Berlin"))
        assert Crontab().why_not(Cron("0 3 * * 1", "Europe/Paris")) is None
        assert Crontab().why_not(MONDAYS) == message.format("UTC")


class TestLines:
    def test_a_line_is_added_and_removed_and_the_others_stay(self, system):
        system.add_crontab(OTHERS)
        Crontab().add(FILE, MONDAYS, COMMAND)
        assert system.crontab == f"{OTHERS}{LINE}\n"
        Crontab().remove(FILE)
        assert system.crontab == OTHERS

    def test_a_user_without_a_crontab_gets_one(self, system):
        system.add_crontab()
        Crontab().add(FILE, MONDAYS, COMMAND)
        assert system.crontab == f"{LINE}\n"

    def test_a_line_replaces_an_older_one_of_the_schedule(self, system):
        system.add_crontab(f"1 1 * * * old # compressor: /a b/50\\%/weekly.json\n{OTHERS}")
        Crontab().add(FILE, MONDAYS, COMMAND)
        assert system.crontab == f"{OTHERS}{LINE}\n"

    def test_bytes_that_are_no_text_stay(self, system):
        system.add_crontab()
        Crontab().add(FILE, MONDAYS, COMMAND)
        table = Path(system._table)
        table.write_bytes(b"# caf\xe9\n" + table.read_bytes())
        Crontab().remove(FILE)
        assert table.read_bytes() == b"# caf\xe9\n"

    def test_removing_what_is_not_there_writes_nothing(self, system):
        Crontab().remove(FILE)
        system.add_crontab("5 * * * * refused\n")
        Crontab().remove(FILE)

    def test_what_crontab_refuses_is_told_and_changes_nothing(self, system):
        system.add_crontab(OTHERS)
        with pytest.raises(CompressorError, match="^crontab - failed: bad minute$"):
            Crontab().add(FILE, MONDAYS, ["refused"])
        assert system.crontab == OTHERS

    @pytest.mark.parametrize("odd", ["\n", "\\"])
    def test_a_path_that_cron_would_read_otherwise_is_refused(self, system, odd):
        system.add_crontab(OTHERS)
        with pytest.raises(CompressorError, match=r"a crontab does not support .* choose another --folder"):
            Crontab().add(Path(f"/a{odd}b/weekly.json"), MONDAYS, COMMAND)
        assert system.crontab == OTHERS

    def test_a_line_that_is_gone_is_told(self, system):
        gone = "nothing starts its runs: its crontab line was deleted"
        assert Crontab().state(FILE).startswith(gone)
        system.add_crontab(OTHERS)
        assert Crontab().state(FILE).startswith(gone)
        Crontab().add(FILE, MONDAYS, COMMAND)
        assert Crontab().state(FILE) == "cron starts its runs: 'crontab -l' shows its line"
