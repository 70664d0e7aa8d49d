"""Sections ``export``, ``gate`` and ``push``: how a model is written, what it must reach, where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from pipelines.config.sections.base import Section, Share, absolute

if TYPE_CHECKING:
    from compressor_lib.deployment.gate import Thresholds


class Export(Section):
    """How a model is written beside its SavedModel, which is what is pushed and always there."""

    formats: list[Literal["float32", "float16", "int8"]] = Field(
        default=["float32"],
        description="TFLite formats of the compressed model, float32 always among them. One that does not convert is "
        "left out. int8 is calibrated on training images.",
    )


class Gate(Section):
    """What a compressed model must reach on the test split to be pushed."""

    min_accuracy: Share = Field(default=0.5, description="Least accuracy.")
    max_drop: Share = Field(default=0.02, description="Most accuracy lost against the baseline.")
    max_class_drop: Share | None = Field(
        default=None,
        description="Most accuracy lost against the baseline in any one class, of which the test split has some "
        "images; null: any loss.",
    )
    confidence: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="The lower end of the interval with this confidence, such as 0.95, must keep each threshold; small "
        "test splits or classes seldom suffice for tight ones. null: what was measured decides.",
    )
    baseline: Literal["reference", "blessed", "deployed"] = Field(
        default="reference",
        description="The run's own reference; the last model that was blessed; or the newest in push.directory, and "
        "the reference where none is there.",
    )

    def thresholds(self) -> Thresholds:
        """Returns the thresholds for the library."""
        from compressor_lib.deployment.gate import Thresholds

        return Thresholds(self.min_accuracy, self.max_drop, self.max_class_drop, self.confidence)


class Push(Section):
    """Where a blessed model goes."""

    directory: str | None = Field(default=None, description="Folder; null: 'serving' in the output.")
    keep: int = Field(
        default=5, gt=0, description="How many versions are kept there, the newest ones; older ones are deleted."
    )

    @field_validator("directory")
    @classmethod
    def _directory_is_absolute(cls, directory: str | None) -> str | None:
        return None if directory is None else absolute(directory)
