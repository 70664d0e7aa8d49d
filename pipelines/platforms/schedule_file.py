"""The files of this machine's schedules."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator

from compressor_lib.errors import CompressorError
from compressor_lib.support.atomic_write import replace_file
from compressor_lib.support.processes import module_command
from pipelines.config.yaml_values import GivenTwiceError, check_given_once
from pipelines.platforms.cron import Cron
from pipelines.platforms.schedulers import SchedulerName


class Plan(BaseModel):
    """A schedule. The name of its file is its name.

    Attributes:
        config: The run's YAML file.
        directory: Working directory of the runs, to which relative paths in the configuration refer.
        overrides: Arguments for ``--set``.
        cron: Times of the runs.
        paused: Whether it is paused.
        created: Time of its creation.
        since: Time of its creation or last resumption; earlier runs do not count as missed.
        last_started: Time at which its last run started; None if there was none.
        scheduler: Scheduler that starts the runs, by default ``compressor schedule serve``.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    config: Path
    directory: Path
    overrides: tuple[str, ...]
    cron: Cron
    paused: bool
    created: AwareDatetime
    since: AwareDatetime
    last_started: AwareDatetime | None
    scheduler: SchedulerName = SchedulerName.serve

    @field_validator("cron")
    @classmethod
    def _cron_is_valid(cls, cron: Cron) -> Cron:
        return Cron.parse(cron.fields, cron.time_zone)

    def due(self) -> datetime | None:
        """The first time after the last run, which may have passed; None if there is none."""
        return next(iter(self.cron.next_runs(1, max(self.since, self.last_started or self.since))), None)

    def command(self) -> list[str]:
        """The command that starts a run."""
        overrides = [word for override in self.overrides for word in ("--set", override)]
        return [*module_command("pipelines.cli"), "run", "--config", str(self.config), *overrides]


def read_plan(path: Path) -> Plan:
    """Reads a schedule's file.

    Raises:
        CompressorError: If the file cannot be read, or is not a schedule.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        check_given_once(text)
        return Plan.model_validate_json(text)
    except GivenTwiceError as error:
        raise CompressorError(f"schedule file '{path}': {error}.") from error
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        what = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise CompressorError(f"schedule file '{path}' is damaged ({what}): correct it, or delete it.") from invalid
    except OSError as error:
        raise CompressorError(f"schedule file '{path}' cannot be read: {error.strerror}.") from error


def write_plan(plan: Plan, path: Path) -> None:
    """Writes a schedule's file atomically.

    Raises:
        CompressorError: If the folder is not writable.
    """
    try:
        replace_file(path, plan.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise CompressorError(
            f"schedule file '{path}' cannot be written ({error.strerror}): correct this, or choose another --folder."
        ) from error
