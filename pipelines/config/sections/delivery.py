"""Sections ``export``, ``gate`` and ``push``: a model's formats, its quality thresholds, and where it is pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from pipelines.config.sections.base import Section, Share, absolute

if TYPE_CHECKING:
    from compressor_lib.deployment.gate import Thresholds


class Export(Section):
    """Formats of a model besides the SavedModel, which is always written and pushed."""

    formats: list[Literal["float32", "float16", "int8"]] = Field(
        default=["float32"],
        description="TFLite formats of the compressed model; float32 is always included. Formats that cannot be "
        "converted to are skipped. int8 is calibrated on training images.",
    )


class Gate(Section):
    """Thresholds that a compressed model must meet on the test split to be pushed."""

    min_accuracy: Share = Field(default=0.5, description="Minimum accuracy.")
    max_drop: Share = Field(default=0.02, description="Maximum drop in accuracy from the baseline.")
    max_class_drop: Share | None = Field(
        default=None,
        description="Maximum drop in accuracy from the baseline in any class with images in the test split; null: no "
        "limit.",
    )
    confidence: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Each threshold must hold at the lower end of the confidence interval of this level, such as "
        "0.95. Small test splits or classes seldom suffice for tight thresholds. null: the measured value must meet "
        "the threshold.",
    )
    baseline: Literal["reference", "blessed", "deployed"] = Field(
        default="reference",
        description="reference: the run's own reference model; blessed: the last blessed model, and without one only "
        "min_accuracy decides; deployed: the newest model in push.directory, or the reference model if there is none.",
    )

    def thresholds(self) -> Thresholds:
        """Returns the thresholds for the library."""
        from compressor_lib.deployment.gate import Thresholds

        return Thresholds(self.min_accuracy, self.max_drop, self.max_class_drop, self.confidence)


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
