"""Schedules as lines in the user's crontab, whose other lines are not changed."""

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
from pipelines.platforms.schedulers import output_of

_LOCAL_TIME = Path("/etc/localtime")


class Crontab:
    """The user's crontab: one line per schedule, with the schedule's file in a shell comment."""

    def why_not(self, cron: Cron) -> str | None:
        """Returns why cron cannot start runs at these times; None if it can.

        The command ``crontab`` must exist, and the times must be in this machine's time zone without ``L`` or ``#``.
        """
        if shutil.which("crontab") is None:
            return "the command crontab does not exist"
        if not cron.is_plain:
            return f"cron does not support {cron.fields!r}"
        # CRON_TZ would apply to all lines below it, and Debian's cron does not support it.
        if not _matches_this_machine(cron.time_zone):
            return f"cron uses this machine's time zone, which is not {cron.time_zone}"
        return None

    def add(self, file: Path, cron: Cron, command: Sequence[str]) -> None:
        """Adds a schedule's line, in place of an earlier one.

        Raises:
            CompressorError: If a path contains a line break or a backslash, or ``crontab`` refuses the line.
        """
        line = f"{shlex.join(command)} {_comment(file)}"
        if odd := re.search(r"[\n\\]", line):
            raise CompressorError(
                f"a crontab does not support {odd[0]!r} in a path, as in {line!r}: choose another --folder."
            )
        others, _ = _other_lines(file)
        _write([*others, f"{cron.fields} {_escaped(line)}"])

    def remove(self, file: Path) -> None:
        """Removes the line, if there is one."""
        others, is_there = _other_lines(file)
        if is_there:
            _write(others)

    def state(self, file: Path) -> str:
        """Reports whether the line exists."""
        _, is_there = _other_lines(file)
        if is_there:
            return "cron starts its runs: 'crontab -l' shows its line"
        return "nothing starts its runs: its crontab line was deleted; delete the schedule, and create it again"


def _other_lines(file: Path) -> tuple[list[str], bool]:
    """Returns the crontab's lines other than the schedule's, and whether the schedule has a line."""
    if shutil.which("crontab") is None:
        return [], False
    try:
        lines = output_of("crontab", "-l").removesuffix("\n").split("\n")
    except CompressorError as error:
        if "no crontab for" in str(error):
            return [], False
        raise
    others = [line for line in lines if not line.endswith(_escaped(f" {_comment(file)}"))]
    return others, len(others) < len(lines)


def _write(lines: Sequence[str]) -> None:
    output_of("crontab", "-", given="".join(f"{line}\n" for line in lines))


def _comment(file: Path) -> str:
    return f"# compressor: {file}"


def _escaped(command: str) -> str:
    return command.replace("%", r"\%")


def _matches_this_machine(time_zone: str) -> bool:
    """Returns whether a time zone has the same UTC offset as this machine's on every day of the next year."""
    if _LOCAL_TIME.exists():
        with _LOCAL_TIME.open("rb") as file:
            here = ZoneInfo.from_file(file)
    else:
        here = ZoneInfo("UTC")
    now, there = datetime.now(timezone.utc), ZoneInfo(time_zone)
    days = (now + timedelta(days) for days in range(366))
    return all(day.astimezone(there).utcoffset() == day.astimezone(here).utcoffset() for day in days)
