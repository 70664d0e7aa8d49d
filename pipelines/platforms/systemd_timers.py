"""Schedules as timers of the user's systemd."""

from __future__ import annotations

import getpass
import os
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from compressor_lib.errors import CompressorError
from compressor_lib.support.atomic_write import replace_file
from pipelines.platforms.cron import Cron
from pipelines.platforms.schedulers import answer

_LINGER = Path("/var/lib/systemd/linger")

_SERVICE = """\
[Unit]
Description=A run of {file}

[Service]
ExecStart={command}
# Only the run itself is asked to stop, which may take a while.
KillMode=mixed
TimeoutStopSec=10min
"""
_TIMER = """\
[Unit]
Description=Times of {file}

[Timer]
{times}
# One run makes up for those that were missed while the machine was off.
Persistent=true

[Install]
WantedBy=timers.target
"""


class SystemdTimers:
    """The user's systemd: a timer and a service for each schedule."""

    def why_not(self, cron: Cron) -> str | None:
        """It may not be there, as in most containers, and reads no ``L`` or ``#``."""
        try:
            answer("systemctl", "--user", "show-environment")
        except CompressorError:
            return "no systemd of the user answers"
        return None if cron.is_plain else f"systemd does not know {cron.fields!r}"

    def add(self, file: Path, cron: Cron, command: Sequence[str]) -> None:
        """Writes the units, and starts the timer.

        Raises:
            CompressorError: If they cannot be written, or systemd refuses them.
        """
        service, timer = _units(file)
        times = "\n".join(f"OnCalendar={time}" for time in cron.for_systemd())
        shown = str(file).replace("%", "%%")
        try:
            service.parent.mkdir(parents=True, exist_ok=True)
            replace_file(service, _SERVICE.format(file=shown, command=" ".join(map(_quoted, command))))
            replace_file(timer, _TIMER.format(file=shown, times=times))
            answer("systemctl", "--user", "daemon-reload")
            answer("systemctl", "--user", "enable", "--now", timer.name)
        except OSError as error:
            raise CompressorError(f"'{error.filename}' cannot be written: {error.strerror}.") from error
        except CompressorError:
            self.remove(file)
            raise

    def remove(self, file: Path) -> None:
        """Stops the timer, and removes the units; a run that is on goes on."""
        service, timer = _units(file)
        if not timer.exists():
            return
        # The stamp that Persistent= goes by would have a new schedule of this name start at once.
        for words in (("disable", "--now", timer.name), ("clean", "--what=state", timer.name)):
            with suppress(CompressorError):
                answer("systemctl", "--user", *words)
        timer.unlink()
        service.unlink(missing_ok=True)
        with suppress(CompressorError):
            answer("systemctl", "--user", "daemon-reload")

    def state(self, file: Path) -> str:
        """Whether the timer is there, and runs while nobody is logged in."""
        _, timer = _units(file)
        if not timer.exists():
            return f"nothing starts its runs: {timer} is gone; delete the schedule, and create it again"
        told = f"systemd starts its runs: 'systemctl --user status {timer.name}' shows the timer"
        if not (_LINGER / getpass.getuser()).exists():
            told += "\nthey start only while you are logged in; 'loginctl enable-linger' lets them start at any time"
        return told


def _units(file: Path) -> tuple[Path, Path]:
    """The service and the timer; schedules of one name in two folders have their own."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    name = f"compressor-{file.stem}-{zlib.crc32(bytes(file.parent)):08x}"
    folder = home / "systemd" / "user"
    return folder / f"{name}.service", folder / f"{name}.timer"


def _quoted(word: str) -> str:
    """A word of ``ExecStart=``: https://www.freedesktop.org/software/systemd/man/systemd.service.html#Command%20lines."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s'\";]", word) or not word else escaped
