"""How classifiers are trained: the options of :func:`compressor_lib.training.train.train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compressor_lib.errors import CompressorError
from compressor_lib.support.options import Options, option


@dataclass(frozen=True)
class Augmentation(Options):
    """How far training images are varied; 0 (or false) turns one variation off.

    Attributes:
        flip: Mirror half of the images left to right.
        rotation: Largest turn either way, as a share of a full circle (0.05 is 18 degrees).
        zoom: Largest change of scale either way, as a share of the size.
        translation: Largest shift either way, as a share of a side, along both axes.
        contrast: Largest change of contrast either way, as a share.

    Raises:
        CompressorError: If a share is not within 0..1 (1 itself excluded).
    """

    flip: bool = True
    rotation: float = option(0.05, ge=0, lt=1)
    zoom: float = option(0.1, ge=0, lt=1)
    translation: float = option(0.1, ge=0, lt=1)
    contrast: float = option(0.1, ge=0, lt=1)

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        return bool(self.flip or self.rotation or self.zoom or self.translation)


@dataclass(frozen=True)
class Distillation(Options):
    """How much the predictions of a teacher count (Hinton et al., arXiv:1503.02531, 2015).

    Attributes:
        weight: Share of the loss that is the distance to the teacher; 0 turns distillation off.
        temperature: Divides the logits of both networks; 1 or more usually, and higher shows more of how the teacher
            ranks the wrong classes.

    Raises:
        CompressorError: If a value is out of its range.
    """

    weight: float = option(0.5, ge=0, le=1)
    temperature: float = option(2.0, gt=0)


@dataclass(frozen=True)
class ReferenceOptions(Options):
    """How a classifier is trained without a teacher: its head first, then all of it.

    Attributes:
        head_epochs: Most epochs with the backbone frozen.
        epochs: Most epochs with everything open, after those.
        batch_size: Images a step.
        head_learning_rate: Adam's, constant, with the backbone frozen.
        learning_rate: Adam's highest, with everything open. It rises from 0 during the first of these epochs (a fifth
            of them all, if that is less) and falls to 0 on a cosine (Loshchilov and Hutter, arXiv:1608.03983; the
            rise: Goyal et al., arXiv:1706.02677).
        patience: Epochs without a better validation accuracy after which a phase ends.
        batch_norm: Batch normalisation of the backbone: frozen as pretrained, or train, which a network from scratch
            needs.
        label_smoothing: Share of each label spread over all classes.
        augmentation: How far training images are varied.
        strategy: none: on one device; mirrored: on all accelerators of the machine, each of which takes its share of
            every batch (tf.distribute.MirroredStrategy).

    Raises:
        CompressorError: If a value is out of its range, or there is no epoch at all.
    """

    head_epochs: int = option(5, ge=0)
    epochs: int = option(10, ge=0)
    batch_size: int = option(32, gt=0)
    head_learning_rate: float = option(1e-3, gt=0)
    learning_rate: float = option(1e-4, gt=0)
    patience: int = option(5, gt=0)
    batch_norm: Literal["frozen", "train"] = "frozen"
    label_smoothing: float = option(0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    strategy: Literal["none", "mirrored"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head_epochs + self.epochs == 0:
            raise CompressorError("head_epochs and epochs are both 0: set one of them to train.")


@dataclass(frozen=True)
class TrainingOptions(ReferenceOptions):
    """How a classifier is trained: its head first, then all of it.

    Attributes:
        distillation: How much the teacher counts; None for no teacher.
    """

    distillation: Distillation | None = None


@dataclass(frozen=True)
class RetrainingOptions(TrainingOptions):
    """How the compressed classifier is trained: likewise, with the reference model as its teacher.

    Attributes:
        distillation: How much the teacher counts.
    """

    # The search has trained the head already, and what a cut leaves has further to go than a whole pretrained network
    # (docs/quality.md has the figures).
    head_epochs: int = option(0, ge=0)
    epochs: int = option(15, ge=0)
    learning_rate: float = option(3e-4, gt=0)
    distillation: Distillation = Distillation()
