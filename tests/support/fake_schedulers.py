"""Stand-ins for ``crontab`` and ``systemctl``, so that tests never change the machine's own schedulers."""

from __future__ import annotations

from pathlib import Path

import pytest

_CRONTAB = """\
#!/bin/sh
if [ "$1" = -l ]; then
    [ -e '{table}' ] || {{ echo "no crontab for nobody" >&2; exit 1; }}
    exec /bin/cat '{table}'
fi
/bin/cat > '{table}.new'
if /bin/grep -q refused '{table}.new'; then echo 'bad minute' >&2; exit 1; fi
exec /bin/mv '{table}.new' '{table}'
"""
_SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> '{calls}'
case "$*" in *refused*) echo 'Failed to enable unit.' >&2; exit 1;; esac
"""


class FakeSystem:
    """A ``PATH`` without programs, until one is added."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._programs = folder / "programs"
        self._programs.mkdir()
        self._table, self._calls = folder / "crontab", folder / "systemctl-calls"
        self.units = folder / "config" / "systemd" / "user"
        monkeypatch.setenv("PATH", str(self._programs))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))

    def add_crontab(self, text: str | None = None) -> None:
        """Adds the command ``crontab``, which refuses lines with the word "refused"."""
        self._add("crontab", _CRONTAB.format(table=self._table))
        if text is not None:
            self._table.write_text(text)

    def add_systemd(self) -> None:
        """Adds the command ``systemctl``, which refuses arguments with the word "refused"."""
        self._add("systemctl", _SYSTEMCTL.format(calls=self._calls))

    def remove(self, program: str) -> None:
        """Removes a command."""
        (self._programs / program).unlink()

    @property
    def crontab(self) -> str:
        """The output of ``crontab -l``."""
        return self._table.read_text()

    @property
    def calls(self) -> list[str]:
        """The arguments of each call of ``systemctl``."""
        return self._calls.read_text().splitlines()

    def _add(self, name: str, text: str) -> None:
        program = self._programs / name
        program.write_text(text)
        program.chmod(0o755)
