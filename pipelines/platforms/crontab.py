"""Schedules as lines of the user's crontab, whose other lines stay as they are."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from compressor_lib.errors import CompressorError
from pipelines.platforms.cron import Cron
from pipelines.platforms.schedulers import answer

_LOCAL_TIME = Path("/etc/localtime")


class Crontab:
    """The user's crontab: a line for each schedule, with its file in a comment of the shell."""

    def why_not(self, cron: Cron) -> str | None:
        """The command may be missing; cron reads no ``L`` or ``#``, and has one time zone."""
        if shutil.which("crontab") is None:
            return "there is no command crontab"
        if not cron.is_plain:
            return f"cron does not know {cron.fields!r}"
        # CRON_TZ would hold for all lines below it, and Debian's cron does not know it.
        if not _is_of_this_machine(cron.time_zone):
            return f"cron takes times in this machine's own zone, which is not {cron.time_zone}"
        return None

    def add(self, file: Path, cron: Cron, command: Sequence[str]) -> None:
        """Adds a line.

        Raises:
            CompressorError: If a path has a line break, or ``crontab`` refuses the line.
        """
        line = f"{shlex.join(command)} {_comment(file)}"
        if odd := re.search(r"[\n\\]", line):
            raise CompressorError(f"a crontab takes no {odd[0]!r} in a path, as in {line!r}: give another --folder.")
        others, _ = _others(file)
        _write([*others, f"{cron.fields} {_escaped(line)}"])

    def remove(self, file: Path) -> None:
        """Removes the line, if there is one."""
        others, is_there = _others(file)
        if is_there:
            _write(others)

    def state(self, file: Path) -> str:
        """Whether the line is there."""
        if _others(file)[1]:
            return "cron starts its runs: 'crontab -l' shows its line"
        return "nothing starts its runs: its line in the crontab is gone; delete the schedule, and create it again"


def _others(file: Path) -> tuple[list[str], bool]:
    """The lines that are not of a schedule, and whether there is one that is."""
    if shutil.which("crontab") is None:
        return [], False
    try:
        lines = answer("crontab", "-l").removesuffix("\n").split("\n")
    except CompressorError as error:
        if "no crontab for" in str(error):
            return [], False
        raise
    others = [line for line in lines if not line.endswith(_escaped(f" {_comment(file)}"))]
    return others, len(others) < len(lines)


def _write(lines: Sequence[str]) -> None:
    answer("crontab", "-", given="".join(f"{line}\n" for line in lines))


def _comment(file: Path) -> str:
    return f"# compressor: {file}"


def _escaped(command: str) -> str:
    return command.replace("%", r"\%")


def _is_of_this_machine(time_zone: str) -> bool:
    """Whether clocks of the zone show what this machine's show, for a year."""
    if _LOCAL_TIME.exists():
        with _LOCAL_TIME.open("rb") as file:
            here = ZoneInfo.from_file(file)
    else:
        here = ZoneInfo("UTC")
    now, there = datetime.now(timezone.utc), ZoneInfo(time_zone)
    days = (now + timedelta(days) for days in range(366))
    return all(day.astimezone(there).utcoffset() == day.astimezone(here).utcoffset() for day in days)
