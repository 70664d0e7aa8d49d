"""Repeated runs on this machine: a file for each schedule, and a process that waits for their times."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import IO, Any

from compressor_lib.errors import CompressorError, unknown
from compressor_lib.support.processes import module_command
from pipelines.platforms.base import Schedule, name_taken
from pipelines.platforms.cron import Cron
from pipelines.platforms.schedule_file import Plan, read_plan, write_plan
from pipelines.results.locks import held_since, locked

LOOK = 2.0
"""Seconds between two looks at the files."""

SERVE = (*module_command("pipelines.cli"), "schedule", "serve", "--target", "local")
"""The command that calls :meth:`LocalSchedules.serve`."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NOT_STARTED = 127

_SERVICE = """\
# Starts the runs of {name!r}, and of all other schedules of its folder. Save it as
# ~/.config/systemd/user/compressor-schedules.service, and start it by
# systemctl --user daemon-reload && systemctl --user enable --now compressor-schedules
# (loginctl enable-linger lets it run while you are logged out).
[Unit]
Description=Scheduled runs of compressor

[Service]
ExecStart={command}
# Only the scheduler is asked to stop; it stops its run by itself, which may take a while.
KillMode=mixed
TimeoutStopSec=10min
Restart=on-failure
RestartSec=1min

[Install]
WantedBy=default.target
"""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def _print(line: str) -> None:
    print(line, flush=True)


class LocalSchedules:
    """The schedules of a folder.

    They may be changed at any time, from any process; runs are started by one process, one at a time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: Callable[[Plan], Sequence[str]] = Plan.command,
        now: Callable[[], datetime] = _utc_now,
        wait: Callable[[float], None] = time.sleep,
        tell: Callable[[str], None] = _print,
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: Where the files are.
            command: What a run is started with.
            now: The time, with its zone.
            wait: Waits for so many seconds.
            tell: Is given a line for each thing that happens.
        """
        self._folder = folder.absolute()
        self._command, self._now, self._wait, self._tell = command, now, wait, tell
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None

    def create(self, config: Path, *, name: str, cron: Cron, overrides: Sequence[str] = ()) -> Schedule:
        """Repeats runs of a configuration, from the current directory.

        Args:
            config: YAML file; it is read anew by each run.
            name: Must be new.
            cron: When.
            overrides: As ``--set`` takes them.

        Raises:
            CompressorError: If the name or the configuration is wrong.
        """
        from pipelines.config.config import load_config
        from pipelines.config.vertex import check_not_asked_for

        if not _NAME.fullmatch(name):
            raise CompressorError(
                f"schedule name {name!r} has another form: small letters, digits and hyphens, 128 at most, "
                "no hyphen first."
            )
        check_not_asked_for(load_config(config, overrides).vertex)
        now = self._now()
        plan = Plan(
            config=config.absolute(), directory=Path.cwd(), overrides=tuple(overrides), cron=cron, paused=False,
            created=now, since=now, last_started=None, last_status=None,
        )  # fmt: skip
        with self._locked("edits"):
            if name in self._names():
                raise name_taken(name)
            write_plan(plan, self._path(name))
        return self._schedule(name, plan)

    def plan(self, name: str) -> Plan:
        """All that is known of a schedule.

        Raises:
            CompressorError: If there is none of this name, or its file is damaged.
        """
        known = self._names()
        if name not in known:
            raise unknown("schedule", name, known)
        return read_plan(self._path(name))

    def schedules(self) -> list[Schedule]:
        """All schedules, the newest first.

        Raises:
            CompressorError: If a file is damaged.
        """
        plans = {name: self.plan(name) for name in self._names()}
        newest = sorted(plans, key=lambda name: plans[name].created, reverse=True)
        return [self._schedule(name, plans[name]) for name in newest]

    def pause(self, name: str) -> None:
        """Lets a schedule start no more runs; one that is running goes on."""
        self._edit(name, paused=True)

    def resume(self, name: str) -> None:
        """Undoes :meth:`pause`; runs that were missed are not made up for."""
        self._edit(name, paused=False, since=self._now())

    def delete(self, name: str) -> None:
        """Ends a schedule, even one whose file is damaged; its runs stay."""
        with self._locked("edits"):
            known = self._names()
            if name not in known:
                raise unknown("schedule", name, known)
            self._path(name).unlink()

    def run_now(self, name: str) -> int:
        """Runs a schedule's command outside of its times, and waits for its end.

        Returns:
            The exit status.

        Raises:
            CompressorError: If the schedule is unknown, or another process starts the runs.
        """
        self.plan(name)
        with self._locked("runs", wait=False) as lock, self._stoppable():
            return self._run(name, lock)

    def serve(self) -> None:
        """Starts all runs when they are due, until SIGTERM, Ctrl-C or SIGHUP, which a run is given time to obey.

        Of the times that a schedule has missed, because nobody served it or another run took long, one is made up for.
        A damaged file is told of, and keeps no other schedule from its runs.

        Raises:
            CompressorError: If another process starts the runs.
        """
        with self._locked("runs", wait=False) as lock, self._stoppable():
            self._tell(f"{self._folder}: serving {', '.join(self._names()) or 'no schedule yet'}; Ctrl-C ends it")
            told: set[str] = set()
            while not self._stopping:
                if not self._run_due(lock, told):
                    self._wait(LOOK)
            self._note("ended")

    def served_since(self) -> datetime | None:
        """Since when a process serves the schedules of this folder; None where none does."""
        return held_since(self._folder / "runs.lock")

    def print_systemd(self, name: str) -> str:
        """The unit of a user service that serves a schedule, and all others of its folder."""
        self.plan(name)
        serve = (*SERVE, "--folder", str(self._folder))
        return _SERVICE.format(name=name, command=" ".join(map(_systemd_quoted, serve)))

    def print_cron(self, name: str) -> str:
        """Lines for a crontab, which start a schedule's runs without :meth:`serve`.

        ``CRON_TZ`` is known to cronie, the cron of Fedora and its relatives, and not to all others.

        Raises:
            CompressorError: If the schedule cannot be said in a crontab.
        """
        plan = self.plan(name)
        _, _, day, _, weekday = plan.cron.fields.upper().split()
        if re.search("[L#]", day + weekday):
            raise CompressorError(
                f"schedule {name!r} runs at {plan.cron.fields!r}, which crontabs do not know: serve it, or give days."
            )
        command = f"cd {shlex.quote(str(plan.directory))} && {shlex.join(self._command(plan))}"
        if "\n" in command:
            raise CompressorError(f"schedule {name!r} has a line break in its command: write --set on one line.")
        escaped = command.replace("%", r"\%")
        return f"CRON_TZ={plan.cron.time_zone}\n{plan.cron.fields} {escaped}\n"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def _schedule(self, name: str, plan: Plan) -> Schedule:
        next_run = None if plan.paused else next(iter(plan.cron.next_runs(1, self._now())), None)
        return Schedule(name, self._path(name).name, plan.cron, plan.paused, next_run)

    def _edit(self, name: str, **changes: Any) -> Plan:
        with self._locked("edits"):
            plan = self.plan(name).model_copy(update=changes)
            write_plan(plan, self._path(name))
            return plan

    def _run_due(self, lock: IO[str], told: set[str]) -> bool:
        """Runs what is due longest; says whether there was anything. Each complaint is told once."""
        due: dict[str, datetime] = {}
        for name in self._names():
            try:
                moment = self.plan(name).due()
                if moment is not None and moment <= self._now():
                    due[name] = moment
            except CompressorError as error:
                self._complain(error, told)
        if not due:
            return False
        try:
            self._run(min(due, key=lambda name: due[name]), lock)
        except CompressorError as error:
            self._complain(error, told)
            return False
        return True

    def _run(self, name: str, lock: IO[str]) -> int:
        plan = self._edit(name, last_started=self._now(), last_status=None)
        self._note(f"{name}: starts")
        status = _NOT_STARTED
        try:
            status = self._ended(plan, lock)
        finally:
            self._note(f"{name}: ended with status {status}")
            try:
                self._edit(name, last_status=status)
            except CompressorError as error:  # as when it was deleted meanwhile
                self._note(str(error))
        return status

    def _ended(self, plan: Plan, lock: IO[str]) -> int:
        """Runs a command to its end. It holds the lock too, lest it is not alone once this process was killed."""
        try:
            # In a session of its own, so that Ctrl-C comes from here alone, and once.
            self._child = subprocess.Popen(
                self._command(plan), cwd=plan.directory, stdin=subprocess.DEVNULL, start_new_session=True,
                pass_fds=[lock.fileno()],
            )  # fmt: skip
        except OSError as error:
            raise CompressorError(
                f"no run can be started in '{plan.directory}' ({error.strerror}): make the folder again, "
                "or the schedule in another."
            ) from error
        if self._stopping:
            self._interrupt()
        status = self._child.wait()
        self._child = None
        return status if status >= 0 else 128 - status  # as shells tell of signals

    def _interrupt(self) -> None:
        """Does to the run what Ctrl-C does at a terminal."""
        if self._child is not None:
            with suppress(ProcessLookupError, PermissionError):  # it has just ended
                os.killpg(self._child.pid, signal.SIGINT)

    def _note(self, line: str) -> None:
        self._tell(f"{self._now().astimezone():%Y-%m-%d %H:%M:%S} {line}")

    def _complain(self, error: CompressorError, told: set[str]) -> None:
        if str(error) not in told:
            told.add(str(error))
            self._note(f"error: {error}")

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Hands signals on to the run, if there is one; nothing is to be started after one."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stopping = True
            self._interrupt()

        self._stopping = False
        # What nohup has let pass is let pass; the others would be, too, by the run, were they not caught here.
        stops = [number for number in _STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, stop) for number in stops}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def _locked(self, what: str, *, wait: bool = True) -> Iterator[IO[str]]:
        """Holds a lock, which ends with its process."""
        path = self._folder / f"{what}.lock"
        with ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(locked(path, wait=wait))
            except BlockingIOError as error:
                raise CompressorError(
                    f"{error}, or a run that it left behind, holds '{path}': it starts the runs here; stop it, or wait "
                    "for its end."
                ) from None
            except OSError as error:
                raise CompressorError(
                    f"folder '{self._folder}' takes no schedules: {error.strerror}. Give another."
                ) from error
            yield file


def _systemd_quoted(word: str) -> str:
    """A word of ``ExecStart=``: https://www.freedesktop.org/software/systemd/man/systemd.service.html#Command%20lines."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s'\";]", word) or not word else escaped
