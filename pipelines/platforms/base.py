"""The interface of platforms, for the commands ``submit`` and ``schedule``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from compressor_lib.errors import CompressorError
from pipelines.platforms.cron import Cron

Values = Mapping[str, str | float | int]
"""Runtime parameters by name; :mod:`pipelines.kubeflow.parameters` lists them."""


class State(str, Enum):
    """The state of a run, or of one of its nodes."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    LEFT_OUT = "left out"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether the state cannot change any more."""
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class RemoteRun:
    """A run on a platform.

    Attributes:
        id: The platform's ID.
        link: URL of a page that shows the run.
    """

    id: str
    link: str


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        state: State of the run.
        nodes: States of the nodes that the platform reports, by ID.
        reason: Why it failed or was stopped; empty if the platform does not say.
    """

    state: State
    nodes: Mapping[str, State]
    reason: str = ""


@dataclass(frozen=True)
class Schedule:
    """A schedule of runs.

    Attributes:
        name: Name given at its creation, unique on a platform.
        id: The platform's ID.
        cron: Times of the runs.
        paused: Whether it is paused.
        next_run: Start time of the next run; None if there is none, or it is unknown.
    """

    name: str
    id: str
    cron: Cron
    paused: bool
    next_run: datetime | None


class GoneError(CompressorError):
    """The named thing does not exist, or was deleted."""


def name_taken(name: str) -> CompressorError:
    """Builds the error for a new schedule with the name of an existing one."""
    return CompressorError(f"schedule {name!r} already exists: delete it first, or choose another --name.")


class Platform(Protocol):
    """A platform that runs packages.

    Every method raises :class:`compressor_lib.errors.CompressorError`, with advice, if the platform cannot be reached,
    refuses the request, or does not know the named thing.
    """

    def submit(
        self, package: Path, *, name: str, parameters: Values, pipeline_root: str | None, caching: bool
    ) -> RemoteRun:
        """Starts a run.

        Args:
            package: File of the compiled package.
            name: Name of the pipeline.
            parameters: Runtime parameters; the others keep the package's defaults.
            pipeline_root: Where artifacts go; None for the default of the package or the platform.
            caching: Whether cached results of nodes may be reused.
        """
        ...

    def progress(self, run_id: str) -> Progress:
        """Fetches the progress of a run.

        Raises:
            GoneError: If the run does not exist, or was deleted.
        """
        ...

    def create_schedule(
        self, package: Path, *, name: str, cron: Cron, parameters: Values, pipeline_root: str | None
    ) -> Schedule:
        """Schedules runs of a package, at most one at a time; ``name`` must be new."""
        ...

    def schedules(self) -> list[Schedule]:
        """Lists all schedules, the newest first."""
        ...

    def pause(self, name: str) -> None:
        """Pauses a schedule."""
        ...

    def resume(self, name: str) -> None:
        """Resumes a paused schedule. Missed runs are not made up for."""
        ...

    def delete(self, name: str) -> None:
        """Deletes a schedule. Its runs are kept."""
        ...

    def run_now(self, name: str) -> RemoteRun:
        """Starts a run of a schedule's package now."""
        ...
