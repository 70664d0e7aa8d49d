"""MariaDB, the database of the API server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kubeflow_rig.waiting import until

VARIABLE = "MARIADB"
"""Environment variable for the folder of Debian's unpacked packages of the server; without it, ``PATH`` is used."""

PORT = 3306
PROGRAM = "mariadbd"


def program() -> Path | None:
    """Finds the server's program; None if there is none."""
    folder = os.environ.get(VARIABLE)
    path = os.path.join(folder, "usr", "sbin") if folder else f"{os.environ.get('PATH', '')}:/usr/sbin"
    found = shutil.which(PROGRAM, path=path)
    return Path(found).absolute() if found else None


class MariaDb:
    """A server with an empty folder, whose user ``root`` has no password.

    Attributes:
        address: Address of the server.
    """

    def __init__(self, program: Path, address: str, folder: Path) -> None:
        self.address, self._log = address, folder / "mariadb.log"
        usr = program.parents[1]
        share, data = usr / "share" / "mysql", folder / "mariadb"
        libraries = [str(found) for place in (usr, usr.parent) for found in place.glob("lib/*-linux-gnu")]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
        command = [
            "setpriv", "--pdeathsig", "KILL", program, "--no-defaults", "--user=root", "--skip-grant-tables",
            f"--datadir={data}", f"--lc-messages-dir={share}", f"--character-sets-dir={share}/charsets",
        ]  # fmt: skip
        data.mkdir()
        tables = "create database mysql;\nuse mysql;\n" + (share / "mysql_system_tables.sql").read_text()
        subprocess.run(
            [*command, "--bootstrap"], input=tables, env=environment, check=True, text=True, capture_output=True
        )
        options = ["--skip-networking=0", "--innodb-flush-log-at-trx-commit=0", f"--bind-address={address}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options, f"--port={PORT}", f"--socket={data}/socket", f"--pid-file={data}/pid"],
                env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        until(lambda: "ready for connections" in self._log.read_text(), self._process, self._log)

    def close(self) -> None:
        """Stops the server."""
        self._process.kill()
        self._process.wait()
