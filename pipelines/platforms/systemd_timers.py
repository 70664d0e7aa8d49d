"""Schedules as timers of systemd's user manager."""

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
from pipelines.platforms.schedulers import output_of

_LINGER = Path("/var/lib/systemd/linger")

_SERVICE = """\
[Unit]
Description=A run of {file}

[Service]
ExecStart={command}
# Only the run itself gets the signal to stop, which may take a while.
KillMode=mixed
TimeoutStopSec=10min
"""
_TIMER = """\
[Unit]
Description=Times of {file}

[Timer]
{times}
# One run makes up for all that were missed while the machine was off.
Persistent=true

[Install]
WantedBy=timers.target
"""


class SystemdTimers:
    """Systemd's user manager: a timer and a service for each schedule."""

    def why_not(self, cron: Cron) -> str | None:
        """Returns why systemd cannot start runs at these times; None if it can.

        Its user manager must be running, which it is not in most containers, and the times must not use ``L`` or ``#``.
        """
        try:
            output_of("systemctl", "--user", "show-environment")
        except CompressorError:
            return "systemd's user manager does not respond"
        return None if cron.is_plain else f"systemd does not support {cron.fields!r}"

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
            output_of("systemctl", "--user", "daemon-reload")
            output_of("systemctl", "--user", "enable", "--now", timer.name)
        except OSError as error:
            raise CompressorError(
                f"'{error.filename}' cannot be written: {error.strerror}. Correct this, or choose another --scheduler."
            ) from error
        except CompressorError:
            self.remove(file)
            raise

    def remove(self, file: Path) -> None:
        """Stops the timer, and removes the units. A run that has started continues."""
        service, timer = _units(file)
        if not timer.exists():
            return
        # Persistent= keeps the time of the last run, which would make a new schedule with this name start at once.
        for words in (("disable", "--now", timer.name), ("clean", "--what=state", timer.name)):
            with suppress(CompressorError):
                output_of("systemctl", "--user", *words)
        timer.unlink()
        service.unlink(missing_ok=True)
        with suppress(CompressorError):
            output_of("systemctl", "--user", "daemon-reload")

    def state(self, file: Path) -> str:
        """Reports whether the timer exists, and whether it runs while the user is logged out."""
        _, timer = _units(file)
        if not timer.exists():
            return f"nothing starts its runs: {timer} was deleted; delete the schedule, and create it again"
        text = f"systemd starts its runs: 'systemctl --user status {timer.name}' shows the timer"
        if not (_LINGER / getpass.getuser()).exists():
            text += "\nthey start only while you are logged in; run 'loginctl enable-linger' to start them at any time"
        return text


def _units(file: Path) -> tuple[Path, Path]:
    """Returns the paths of the service and the timer, which differ for schedules of the same name in two folders."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    name = f"compressor-{file.stem}-{zlib.crc32(bytes(file.parent)):08x}"
    folder = home / "systemd" / "user"
    return folder / f"{name}.service", folder / f"{name}.timer"


def _quoted(word: str) -> str:
    """Quotes a word for ``ExecStart=``: https://www.freedesktop.org/software/systemd/man/systemd.service.html#Command%20lines."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s'\";]", word) or not word else escaped
