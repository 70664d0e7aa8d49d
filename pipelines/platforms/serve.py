"""Starts scheduled runs with APScheduler, such as on machines with neither systemd nor cron."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from datetime import datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger

from compressor_lib.errors import CompressorError
from pipelines.execution.signals import interrupts
from pipelines.platforms.cron import Cron
from pipelines.platforms.local_schedules import SERVE_LOCK, LocalSchedules
from pipelines.platforms.schedulers import SchedulerName

RELOAD_INTERVAL = 2.0
"""Seconds between two reads of the schedules' files."""


class CronTrigger(BaseTrigger):
    """The times that ``compressor schedule show`` lists. APScheduler's own trigger numbers weekdays from Monday."""

    def __init__(self, cron: Cron) -> None:
        self._cron = cron

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Returns the next time, skipping missed ones."""
        return next(iter(self._cron.next_runs(1, now)), None)


class Server:
    """Starts the runs of a folder's schedules, one at a time; the files may change at any time.

    If a schedule has missed runs, because nothing served it or other runs took too long, one run makes up for them all.
    """

    def __init__(self, schedules: LocalSchedules) -> None:
        """Does not start anything yet."""
        self._schedules = schedules
        # One thread starts runs, so that there is one at a time; the other reads the files meanwhile.
        self._scheduler = BlockingScheduler(
            executors={"default": ThreadPoolExecutor(1), "files": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._seen: dict[str, datetime | str] = {}
        self._run: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def serve(self) -> None:
        """Starts each run when it is due, until Ctrl-C or SIGTERM; then stops the current run and waits for its end.

        Raises:
            CompressorError: If another process serves the folder, or the folder is not writable.
        """
        with self._schedules.locked(SERVE_LOCK, wait=False), interrupts() as seen:
            _note(f"{self._schedules.folder}: serving its schedules; press Ctrl-C to stop")
            self._reload()
            self._scheduler.add_job(self._reload, "interval", seconds=RELOAD_INTERVAL, executor="files")
            with suppress(KeyboardInterrupt):
                self._scheduler.start()
            self._stopping = True
            if self._run is not None and signal.SIGTERM in seen:  # Ctrl-C in a terminal also reaches the run
                self._run.terminate()
            self._scheduler.shutdown()

    def _reload(self) -> None:
        """Adds new schedules to APScheduler, removes deleted ones, and reports each damaged file once."""
        names = self._schedules.names()
        for name in self._seen.keys() - names:
            del self._seen[name]
            with suppress(JobLookupError):
                self._scheduler.remove_job(name)
        for name in names:
            try:
                plan = self._schedules.plan(name)
            except CompressorError as error:
                if self._seen.get(name) != str(error):
                    _note(f"error: {error}")
                self._seen[name] = str(error)
                continue
            if plan.scheduler is SchedulerName.serve and self._seen.get(name) != plan.created:
                self._seen[name] = plan.created
                times = {"trigger": CronTrigger(plan.cron), "next_run_time": plan.due()}
                self._scheduler.add_job(self._start, args=[name], id=name, replace_existing=True, **times)

    def _start(self, name: str) -> None:
        """Starts a run of a schedule and waits for its end. Does nothing if the schedule was just paused or deleted."""
        try:
            if self._stopping or self._schedules.plan(name).paused:
                return
        except CompressorError:
            return
        with subprocess.Popen(self._schedules.command(name), stdin=subprocess.DEVNULL) as self._run:
            if self._stopping:
                self._run.terminate()
        _note(f"{name}: ended with status {self._run.returncode}")


def _note(line: str) -> None:
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}", flush=True)
