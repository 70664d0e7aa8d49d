"""Section ``beam``: where Beam runs, and the flags that select it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipelines.config.beam_flags import HOST_AND_PORT
from pipelines.config.sections.base import Section

_NEEDED = {
    "direct": (),
    "dataflow": ("project", "region", "temp_location"),
    "flink": ("master",),
    "spark": ("master",),
}
_OPTIONAL = {
    "direct": ("workers",),
    "dataflow": ("workers", "image"),
    "flink": ("workers", "environment", "environment_config"),
    "spark": ("environment", "environment_config"),
}

_ENVIRONMENT_CONFIG = {
    "docker": (r"\w[\w./:@-]*", "an image, such as registry.example.org/beam-worker:1"),
    "external": (HOST_AND_PORT, "host:port of the worker pool"),
}
"""Pattern and description of ``environment_config``, by environment. The other environments take none."""
_BOOT = '{"command":"/opt/apache/beam/boot"}'
"""The command of environment process: the entrypoint of Beam's own images. A configuration cannot choose a command."""

IN_PYTHON = "--allow_unsafe_triggers"
"""Keeps Beam's direct runner in Python. Without this flag, it downloads Prism, a runner written in Go, where it can,
and runs the job on that (apache_beam 2.72, ``runners.direct.direct_runner``). Jobs here have no triggers."""

IN_ONE_PROCESS = ("--direct_num_workers=1", "--direct_running_mode=in_memory")
"""For nodes that do little, or leave the work to TensorFlow on all cores: starting processes takes 7 s or more."""


class Beam(Section):
    """Where the Beam jobs run: reading, statistics, Transform, translators and evaluation."""

    runner: Literal["direct", "dataflow", "flink", "spark"] = Field(
        default="direct",
        description="direct: on the node's own machine; the others: the service or cluster that runs the jobs.",
    )
    workers: int | None = Field(
        default=None,
        gt=0,
        description="direct: number of processes that read and prepare images; dataflow: maximum number of machines; "
        "flink: parallelism. null: the runner's default.",
    )
    project: str | None = Field(default=None, description="dataflow: the Google Cloud project.")
    region: str | None = Field(default=None, description="dataflow: the region, such as europe-west1.")
    temp_location: str | None = Field(default=None, description="dataflow: gs:// folder for temporary files.")
    image: str | None = Field(
        default=None, description="dataflow: container image of the workers; null: Dataflow's default."
    )
    master: str | None = Field(
        default=None,
        description="flink: host:port of its REST API; spark: the master's URL, such as spark://host:7077.",
    )
    environment: Literal["docker", "process", "external", "loopback"] | None = Field(
        default=None,
        description="flink and spark: how Python workers are started (process: on the cluster's machines, by "
        "/opt/apache/beam/boot; loopback: in the node itself); null: Beam's default.",
    )
    environment_config: str | None = Field(
        default=None,
        description="docker: the container image; external: host:port of the worker pool.",
    )

    @field_validator("temp_location")
    @classmethod
    def _temp_location_is_remote(cls, location: str | None) -> str | None:
        if location is not None and not location.startswith("gs://"):
            raise ValueError(f"is {location!r}, which Dataflow cannot reach: begin it with gs://.")
        return location

    @model_validator(mode="after")
    def _fields_fit_runner(self) -> Beam:
        needed, known = _NEEDED[self.runner], (*_NEEDED[self.runner], *_OPTIONAL[self.runner])
        given = {name for name, value in self if value is not None and name != "runner"}
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"has no {_joined(missing)}, which runner {self.runner} needs.")
        strange = [name for name in Beam.model_fields if name in given and name not in known]
        if strange:
            raise ValueError(
                f"has {_joined(strange)}, which runner {self.runner} does not take; it takes {_joined(known)}."
            )
        self._check_environment()
        return self

    def _check_environment(self) -> None:
        config = self.environment_config
        if config and self.environment is None:
            raise ValueError("has environment_config, but no environment: choose docker or external.")
        if self.environment not in _ENVIRONMENT_CONFIG:
            if config:
                raise ValueError(f"has environment_config, which environment {self.environment} does not take.")
            return
        if not config:
            raise ValueError(f"has no environment_config, which environment {self.environment} needs.")
        pattern, meant = _ENVIRONMENT_CONFIG[self.environment]
        if not re.fullmatch(pattern, config):
            raise ValueError(f"has environment_config {config!r}: for {self.environment} give {meant}.")


def has_processes(beam: Beam) -> bool:
    """Whether the node's own machine runs Beam in several processes."""
    return beam.runner == "direct" and (beam.workers or 1) > 1


def beam_flags(beam: Beam) -> list[str]:
    """Returns the Beam flags of a section.

    Args:
        beam: The section.

    Returns:
        Flags for Beam's ``PipelineOptions``.

    Example:
        >>> beam_flags(Beam(workers=2))  # doctest: +NORMALIZE_WHITESPACE
        ['--allow_unsafe_triggers', '--sdk_container_image=none', '--direct_num_workers=2',
         '--direct_running_mode=multi_processing']
    """
    if beam.runner == "direct":
        # Without an image, TFX would package itself for remote workers, which costs seconds in every node.
        flags = [IN_PYTHON, *_flags(sdk_container_image="none")]
        if has_processes(beam):
            flags += _flags(direct_num_workers=beam.workers, direct_running_mode="multi_processing")
        return flags
    if beam.runner == "dataflow":
        return _flags(
            runner="DataflowRunner", project=beam.project, region=beam.region, temp_location=beam.temp_location,
            max_num_workers=beam.workers, sdk_container_image=beam.image,
            experiments="use_runner_v2" if beam.image else None,
        )  # fmt: skip
    environment = {
        "environment_type": beam.environment and beam.environment.upper(),
        "environment_config": _BOOT if beam.environment == "process" else beam.environment_config,
    }
    if beam.runner == "flink":
        return _flags(runner="FlinkRunner", flink_master=beam.master, parallelism=beam.workers, **environment)
    return _flags(runner="SparkRunner", spark_master_url=beam.master, **environment)


def _flags(**options: str | int | None) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names)
