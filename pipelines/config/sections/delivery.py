"""Sections ``gate`` and ``push``: a model's quality thresholds, and where it is pushed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from compressor_lib.deployment.gate import Thresholds
from pipelines.config.sections.base import Section, absolute


@dataclass(frozen=True)
class Gate(Thresholds):
    """Thresholds that a compressed model must meet on the test split to be pushed.

    Attributes:
        baseline: reference: the run's own reference model; blessed: the last blessed model, and without one only
            min_accuracy decides; deployed: the newest model in push.directory, or the reference model if there is none.
    """

    baseline: Literal["reference", "blessed", "deployed"] = "reference"


class Push(Section):
    """Where a blessed model is pushed."""

    directory: str | None = Field(default=None, description="Folder; null: 'serving' in the output.")
    keep: int = Field(
        default=5, gt=0, description="Number of newest versions to keep in the folder. Older ones are deleted."
    )

    @field_validator("directory")
    @classmethod
    def _directory_is_absolute(cls, directory: str | None) -> str | None:
        return None if directory is None else absolute(directory)
