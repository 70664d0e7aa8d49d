"""Sections ``reference`` and ``retrain``: how classifiers are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from pipelines.config.sections.base import Section, Share

if TYPE_CHECKING:
    from compressor_lib.training.train import TrainingOptions


class AugmentationConfig(Section):
    """How far training images are varied; 0 (or false) turns one variation off."""

    flip: bool = Field(default=True, description="Mirror half of the images left to right.")
    rotation: float = Field(default=0.05, ge=0, lt=1, description="Largest turn, as a share of a circle.")
    zoom: float = Field(default=0.1, ge=0, lt=1, description="Largest change of scale, as a share.")
    translation: float = Field(default=0.1, ge=0, lt=1, description="Largest shift, as a share of a side.")
    contrast: float = Field(default=0.1, ge=0, lt=1, description="Largest change of contrast, as a share.")


class DistillationConfig(Section):
    """How much the reference's answers count as a teacher's."""

    weight: Share = Field(default=0.5, description="Share of the loss; 0 turns distillation off.")
    temperature: float = Field(default=2.0, gt=0, description="Divides the logits of both networks.")


class Training(Section):
    """How a classifier is trained: its head first, then all of it."""

    head_epochs: int = Field(default=5, ge=0, description="Most epochs with the backbone frozen.")
    epochs: int = Field(default=10, ge=0, description="Most epochs with everything open, after those.")
    batch_size: int = Field(default=32, gt=0, description="Images a step.")
    head_learning_rate: float = Field(default=1e-3, gt=0, description="Adam's, with the backbone frozen.")
    learning_rate: float = Field(default=1e-4, gt=0, description="Adam's highest, with everything open.")
    patience: int = Field(default=5, gt=0, description="Epochs without a better one that end a phase.")
    batch_norm: Literal["frozen", "train"] = Field(
        default="frozen",
        description="Batch normalisation of the backbone: frozen as pretrained, or train, which "
        "a network from scratch needs.",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of each label spread over all classes.")
    augmentation: AugmentationConfig = Field(
        default_factory=AugmentationConfig, description="How far images are varied."
    )
    strategy: Literal["none", "mirrored"] = Field(
        default="none",
        description="none: on one device; mirrored: on all accelerators of the machine, each of which "
        "takes its share of every batch.",
    )

    @model_validator(mode="after")
    def _trains_at_all(self) -> Training:
        if self.head_epochs + self.epochs == 0:
            raise ValueError("has head_epochs and epochs of 0: set one of them to train.")
        return self

    def options(self) -> TrainingOptions:
        """These fields as the library takes them.

        Returns:
            The options, without a teacher unless there is a field ``distillation``.
        """
        from compressor_lib.training.augmentation import Augmentation
        from compressor_lib.training.train import Distillation, TrainingOptions

        values = self.model_dump()
        values["augmentation"] = Augmentation(**values["augmentation"])
        if "distillation" in values:
            values["distillation"] = Distillation(**values["distillation"])
        return TrainingOptions(**values)


class Retraining(Training):
    """How the compressed classifier is trained: likewise, with the reference as its teacher."""

    # The search has trained the head already, and what a cut leaves has further to go than a whole pretrained network
    # (docs/quality.md has the figures).
    head_epochs: int = Field(default=0, ge=0, description="Most epochs with the backbone frozen.")
    epochs: int = Field(default=15, ge=0, description="Most epochs with everything open, after those.")
    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's highest, with everything open.")
    distillation: DistillationConfig = Field(
        default_factory=DistillationConfig, description="How much the teacher counts."
    )
