"""The options of :func:`compressor_lib.training.train.train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compressor_lib.errors import CompressorError
from compressor_lib.support.options import Options, option


@dataclass(frozen=True)
class Augmentation(Options):
    """The strength of each augmentation of training images; 0 (or false) turns one off.

    Attributes:
        flip: Whether to mirror half of the images left to right.
        rotation: Largest rotation in either direction, as a share of a full circle (0.05 is 18 degrees).
        zoom: Largest change of scale in either direction, as a share of the size.
        translation: Largest shift in either direction along both axes, as a share of the side.
        contrast: Largest change of contrast in either direction, as a share.

    Raises:
        CompressorError: If a share is below 0, or 1 or more.
    """

    flip: bool = True
    rotation: float = option(0.05, ge=0, lt=1)
    zoom: float = option(0.1, ge=0, lt=1)
    translation: float = option(0.1, ge=0, lt=1)
    contrast: float = option(0.1, ge=0, lt=1)

    @property
    def moves(self) -> bool:
        """Whether pixels move."""
        return bool(self.flip or self.rotation or self.zoom or self.translation)


@dataclass(frozen=True)
class Distillation(Options):
    """The weight of the teacher's predictions in the loss (Hinton et al., arXiv:1503.02531, 2015).

    Attributes:
        weight: Share of the loss that is the distance to the teacher; 0 turns distillation off.
        temperature: Divisor of both models' logits, usually 1 or more. A higher temperature reveals more of how the
            teacher ranks the wrong classes.

    Raises:
        CompressorError: If a value is out of range.
    """

    weight: float = option(0.5, ge=0, le=1)
    temperature: float = option(2.0, gt=0)


@dataclass(frozen=True)
class ReferenceOptions(Options):
    """Options for training a classifier without a teacher: first the head, then the whole network.

    Attributes:
        head_epochs: Maximum number of epochs with a frozen backbone.
        epochs: Maximum number of epochs after that, in which the whole network is trained.
        batch_size: Images per step.
        head_learning_rate: Adam's constant learning rate while the backbone is frozen.
        learning_rate: Adam's highest learning rate for the whole network. The rate rises from 0 during the first of
            these epochs (or during a fifth of all their steps, if that is less) and falls to 0 on a cosine (Loshchilov
            and Hutter, arXiv:1608.03983; warmup: Goyal et al., arXiv:1706.02677).
        patience: Number of epochs without a better validation accuracy after which a phase ends.
        batch_norm: Batch normalisation of the backbone: frozen keeps it as pretrained; train also trains it, which a
            network trained from scratch needs.
        label_smoothing: Share of each label that is spread over all classes.
        augmentation: Augmentation of training images.
        strategy: none trains on one device; mirrored trains on all accelerators of the machine, each of which takes its
            share of every batch (tf.distribute.MirroredStrategy).

    Raises:
        CompressorError: If a value is out of range, or both numbers of epochs are 0.
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
    """Options for training a classifier: first the head, then the whole network.

    Attributes:
        distillation: Weight of the teacher; None for no teacher.
    """

    distillation: Distillation | None = None


@dataclass(frozen=True)
class RetrainingOptions(TrainingOptions):
    """Options for training the compressed classifier, with the reference model as its teacher.

    Attributes:
        distillation: Weight of the teacher.
    """

    # The search has already trained the head, and a cut network needs more training than a whole pretrained network
    # (docs/quality.md has the figures).
    head_epochs: int = option(0, ge=0)
    epochs: int = option(15, ge=0)
    learning_rate: float = option(3e-4, gt=0)
    distillation: Distillation = Distillation()
