"""Scheduled runs on this machine: a file for each schedule, and a scheduler that starts its runs."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from compressor_lib.errors import CompressorError, unknown
from compressor_lib.support.processes import module_command
from pipelines.platforms.base import Schedule, name_taken
from pipelines.platforms.cron import Cron
from pipelines.platforms.crontab import Crontab
from pipelines.platforms.schedule_file import Plan, read_plan, write_plan
from pipelines.platforms.schedulers import Scheduler, SchedulerName
from pipelines.platforms.systemd_timers import SystemdTimers
from pipelines.results.locks import held_since, locked

SCHEDULERS: Mapping[SchedulerName, Scheduler] = {
    SchedulerName.systemd: SystemdTimers(),
    SchedulerName.cron: Crontab(),
}
"""The schedulers that a machine may have. The first one that can start a schedule's runs is used."""

SERVE_LOCK = "serve.lock"
"""File in the folder that ``compressor schedule serve`` locks."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class LocalSchedules:
    """The schedules of a folder.

    Any process may change them at any time. Runs are started one at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Does not read or write anything yet; the folder need not exist."""
        self.folder = folder.absolute()

    def create(
        self,
        config: Path,
        *,
        name: str,
        cron: Cron,
        overrides: Sequence[str] = (),
        scheduler: SchedulerName | None = None,
    ) -> Schedule:
        """Schedules runs of a configuration. The runs will start in the current directory.

        Args:
            config: YAML file, which each run reads again.
            name: Name of the schedule, which must be new.
            cron: Times of the runs.
            overrides: Arguments for ``--set``.
            scheduler: Scheduler that starts the runs; None for the first of :data:`SCHEDULERS` that can, or else
                ``compressor schedule serve``.

        Returns:
            The new schedule.

        Raises:
            CompressorError: If the name or the configuration is invalid, the name is taken, or the scheduler cannot
                start the runs.
        """
        from pipelines.config.config import load_config
        from pipelines.config.vertex import check_not_asked_for

        if not _NAME.fullmatch(name):
            raise CompressorError(
                f"schedule name {name!r} is invalid: use at most 128 lower-case letters, digits and "
                "hyphens, and do not begin with a hyphen."
            )
        cron.check_for_this_machine()
        check_not_asked_for(load_config(config, overrides).vertex)
        now = _now()
        plan = Plan(
            config=config.absolute(), directory=Path.cwd(), overrides=tuple(overrides), cron=cron, paused=False,
            created=now, since=now, last_started=None, scheduler=_chosen(scheduler, cron),
        )  # fmt: skip
        path = self._path(name)
        with self.locked("edits.lock"):
            if name in self.names():
                raise name_taken(name)
            write_plan(plan, path)
            if plan.scheduler in SCHEDULERS:
                try:
                    SCHEDULERS[plan.scheduler].add(path, cron, [*self.command(name), "--scheduled"])
                except BaseException:
                    path.unlink()
                    raise
        return self._schedule(name, plan)

    def plan(self, name: str) -> Plan:
        """Reads a schedule.

        Raises:
            CompressorError: If there is no schedule with this name, or its file is damaged.
        """
        return read_plan(self._file_of(name))

    def schedules(self) -> list[Schedule]:
        """Lists all schedules, the newest first.

        Raises:
            CompressorError: If a file is damaged.
        """
        plans = {name: self.plan(name) for name in self.names()}
        newest = sorted(plans, key=lambda name: plans[name].created, reverse=True)
        return [self._schedule(name, plans[name]) for name in newest]

    def state(self, name: str) -> str:
        """Describes what starts the runs of a schedule, and where they are logged."""
        path, scheduler = self._file_of(name), self.plan(name).scheduler
        if scheduler in SCHEDULERS:
            return f"{SCHEDULERS[scheduler].state(path)}\nlog   {path.with_suffix('.log')}"
        if since := held_since(self.folder / SERVE_LOCK):
            return f"'compressor schedule serve' starts its runs; it has been running since {since:%Y-%m-%d %H:%M}"
        serve = shlex.join(["compressor", "schedule", "serve", "--folder", str(self.folder)])
        return f"nothing starts its runs yet; they start only while this command is running:\n  {serve}"

    def pause(self, name: str) -> None:
        """Pauses a schedule. A run that has started continues."""
        self._edit(name, paused=True)

    def resume(self, name: str) -> None:
        """Resumes a paused schedule. Missed runs are not made up for."""
        self._edit(name, paused=False, since=_now())

    def delete(self, name: str) -> None:
        """Deletes a schedule, even if its file is damaged. Its runs are kept."""
        with self.locked("edits.lock"):
            path = self._file_of(name)
            for scheduler in SCHEDULERS.values():
                scheduler.remove(path)
            path.unlink()

    def run_now(self, name: str, *, scheduled: bool = False) -> None:
        """Waits for the runs of other schedules, then replaces this process with a run.

        Args:
            name: Name of the schedule.
            scheduled: True if a scheduler starts the run: then a paused schedule does not run, and the output goes to
                the schedule's log. False if a person starts it.

        Raises:
            CompressorError: If the schedule is unknown or already running, or the directory of its runs was deleted.
        """
        path = self._file_of(name)
        if scheduled:
            log = os.open(path.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(log, sys.stdout.fileno())
            os.dup2(log, sys.stderr.fileno())
            if self.plan(name).paused:
                return
        with self.locked(f"{name}.lock", wait=False) as own, self.locked("runs.lock") as only:
            plan = self._edit(name, last_started=_now())
            try:
                os.chdir(plan.directory)
            except OSError as error:
                raise CompressorError(
                    f"no run can be started in '{plan.directory}' ({error.strerror}): create the directory "
                    "again, or delete the schedule and create it in another directory."
                ) from error
            for lock in (own, only):  # the run holds them until it ends
                os.set_inheritable(lock.fileno(), True)
            program, *arguments = plan.command()
            print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {name}: starts", flush=True)
            os.execv(program, [program, *arguments])

    def command(self, name: str) -> list[str]:
        """Returns the command that calls :meth:`run_now` in a process of its own."""
        command = module_command("pipelines.cli")
        return [*command, "schedule", "run-now", name, "--target", "local", "--folder", str(self.folder)]

    def names(self) -> list[str]:
        """Returns the names of all schedules, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json") if _NAME.fullmatch(path.stem))

    @contextmanager
    def locked(self, what: str, *, wait: bool = True) -> Iterator[IO[str]]:
        """Holds a lock, which is released even if the process is killed.

        Args:
            what: Name of the lock's file in the folder.
            wait: Whether to wait until another process releases it.

        Raises:
            CompressorError: If another process holds it and ``wait`` is false, or the folder is not writable.
        """
        path = self.folder / what
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(locked(path, wait=wait))
            except BlockingIOError as error:
                raise CompressorError(f"'{path}' is held by {error}: stop it, or wait until it ends.") from None
            except OSError as error:
                raise CompressorError(
                    f"folder '{self.folder}' is not writable ({error.strerror}): choose another --folder."
                ) from error
            yield file

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _file_of(self, name: str) -> Path:
        """Returns the file of an existing schedule; raises an error if there is none with this name."""
        known = self.names()
        if name not in known:
            raise unknown("schedule", name, known)
        return self._path(name)

    def _schedule(self, name: str, plan: Plan) -> Schedule:
        next_run = None if plan.paused else next(iter(plan.cron.next_runs(1)), None)
        return Schedule(name, self._path(name).name, plan.cron, plan.paused, next_run)

    def _edit(self, name: str, **changes: Any) -> Plan:
        with self.locked("edits.lock"):
            plan = self.plan(name).model_copy(update=changes)
            write_plan(plan, self._path(name))
            return plan


def _chosen(wanted: SchedulerName | None, cron: Cron) -> SchedulerName:
    """Returns the requested scheduler; if none was requested, the first one that can start the runs."""
    if wanted is None:
        able = (name for name, scheduler in SCHEDULERS.items() if scheduler.why_not(cron) is None)
        return next(able, SchedulerName.serve)
    if wanted in SCHEDULERS and (reason := SCHEDULERS[wanted].why_not(cron)):
        raise CompressorError(
            f"--scheduler {wanted.value} cannot start these runs, because {reason}: choose another, such as serve."
        )
    return wanted
