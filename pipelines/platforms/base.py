"""What the commands ``submit`` and ``schedule`` ask of a platform, in words that are the same for all."""

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
"""Runtime parameters by name, as :mod:`pipelines.kubeflow.parameters` lists them."""


class State(str, Enum):
    """Of a run, or of one of its nodes."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    LEFT_OUT = "left out"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class RemoteRun:
    """A run that a platform has taken.

    Attributes:
        id: The platform's own.
        link: A page to watch it on.
    """

    id: str
    link: str


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        state: Of the run.
        nodes: Of each node that the platform tells of, by id.
        reason: Why it failed or was stopped, as far as the platform says.
    """

    state: State
    nodes: Mapping[str, State]
    reason: str = ""


@dataclass(frozen=True)
class Schedule:
    """Runs that are repeated.

    Attributes:
        name: Given when it was made; one for each schedule of a platform.
        id: The platform's own.
        cron: When.
        paused: Whether it starts no runs.
        next_run: When the next one starts; None: never, or not known.
    """

    name: str
    id: str
    cron: Cron
    paused: bool
    next_run: datetime | None


class GoneError(CompressorError):
    """What is named is not there, or no more."""


def name_taken(name: str) -> CompressorError:
    """What to raise where a new schedule has the name of another."""
    return CompressorError(f"schedule {name!r} is there already: delete it first, or give another --name.")


class Platform(Protocol):
    """A place that runs packages.

    Every method raises :class:`compressor_lib.errors.CompressorError`, with the way out, where the platform cannot be
    reached, refuses, or does not know what is named.
    """

    def submit(
        self, package: Path, *, name: str, parameters: Values, pipeline_root: str | None, caching: bool
    ) -> RemoteRun:
        """Starts a run.

        Args:
            package: The compiled package's file.
            name: The pipeline's.
            parameters: Runtime parameters; others have the package's defaults.
            pipeline_root: Where artifacts go; None: as the package or the platform says.
            caching: Whether nodes may be taken from the cache.
        """
        ...

    def progress(self, run_id: str) -> Progress:
        """Looks at a run.

        Raises:
            GoneError: If there is no such run, or no more.
        """
        ...

    def create_schedule(
        self, package: Path, *, name: str, cron: Cron, parameters: Values, pipeline_root: str | None
    ) -> Schedule:
        """Repeats runs of a package, at most one at a time; ``name`` must be new."""
        ...

    def schedules(self) -> list[Schedule]:
        """All schedules, the newest first."""
        ...

    def pause(self, name: str) -> None:
        """Lets a schedule start no more runs."""
        ...

    def resume(self, name: str) -> None:
        """Undoes :meth:`pause`; runs that were missed are not made up for."""
        ...

    def delete(self, name: str) -> None:
        """Ends a schedule; its runs stay."""
        ...

    def run_now(self, name: str) -> RemoteRun:
        """Starts a run of a schedule's package outside of its times."""
        ...
