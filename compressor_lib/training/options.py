"""Options of :func:`compressor_lib.training.train.train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compressor_lib.errors import CompressorError
from compressor_lib.options import Options, option

PASSES_PER_EPOCH = 3
"""Cost of an epoch of training in forward passes: the backward pass computes two gradients per layer, for its input and
its weights (Amodei and Hernandez, AI and compute, OpenAI, 2018)."""


@dataclass(frozen=True)
class Augmentation(Options):
    """How training images are varied; 0 (or false) turns a variation off.

    Attributes:
        flip: Whether to mirror half of the images left to right.
        rotation: Maximum rotation in either direction, as a share of a full circle (0.05 is 18 degrees).
        zoom: Maximum change of scale in either direction, as a share of the size.
        translation: Maximum shift along each axis in either direction, as a share of the side.
        contrast: Maximum change of contrast in either direction, as a share.

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
        """Whether a variation moves pixels."""
        return bool(self.flip or self.rotation or self.zoom or self.translation)

    @property
    def varies(self) -> bool:
        """Whether there is any variation."""
        return bool(self.moves or self.contrast)


@dataclass(frozen=True)
class Distillation(Options):
    """How a network learns from a teacher's predictions (Hinton et al., arXiv:1503.02531, 2015).

    Attributes:
        weight: Share of the distance to the teacher in the loss; 0 turns distillation off.
        temperature: Divisor of the logits of both networks, usually 1 or more. The higher it is, the more the
            teacher's ranking of the wrong classes counts.
        views: Number of augmented views of each training image that the teacher predicts. The network sees them in
            turn, a view in each epoch.

    Raises:
        CompressorError: If a value is out of range.
    """

    weight: float = option(0.5, ge=0, le=1)
    temperature: float = option(2.0, gt=0)
    views: int = option(8, gt=0)


@dataclass(frozen=True)
class _CommonOptions(Options):
    """What every training of a classifier has: first its head is trained, then all layers.

    Attributes:
        head_epochs: Maximum number of epochs with the backbone frozen.
        batch_size: Number of images per step.
        head_learning_rate: Adam's learning rate with the backbone frozen, which is constant.
        learning_rate: Adam's highest learning rate with all layers trainable. It rises from 0 during the first of
            these epochs (or the first fifth of them, if that is shorter), stays, and falls to 0 along a cosine in the
            second half (warm-up: Goyal et al., arXiv:1706.02677; stable, then decay: Hagele et al., arXiv:2405.18392).
        patience: Number of epochs without a better accuracy on the eval split after which the training of the head
            ends, or the learning rate of all layers begins to fall, for as many epochs as it took until then; null: a
            fifth of the planned epochs, and at least 5.
        batch_norm: Batch normalisation of the backbone. frozen: keep the pretrained statistics; train: update them, as
            a network trained from scratch needs.
        label_smoothing: Share of each label that is spread over all classes.
        augmentation: How training images are varied.
        strategy: none: train on one device; mirrored: train on all accelerators of the machine, which share each batch
            (tf.distribute.MirroredStrategy).

    Raises:
        CompressorError: If a value is out of range.
    """

    head_epochs: int = option(5, ge=0)
    batch_size: int = option(32, gt=0)
    head_learning_rate: float = option(1e-3, gt=0)
    learning_rate: float = option(1e-4, gt=0)
    patience: int | None = option(None, gt=0)
    batch_norm: Literal["frozen", "train"] = "frozen"
    label_smoothing: float = option(0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    strategy: Literal["none", "mirrored"] = "none"


@dataclass(frozen=True)
class ReferenceOptions(_CommonOptions):
    """How the reference model is trained: first its head, then all layers.

    Attributes:
        epochs: Maximum number of epochs after those of the head, with all layers trainable.

    Raises:
        CompressorError: If a value is out of range, or there are no epochs.
    """

    epochs: int = option(10, ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_epochs(self.head_epochs, self.epochs)

    @property
    def compute(self) -> float:
        """What the training may take, in forward passes of its network over the training images."""
        return self.head_epochs + PASSES_PER_EPOCH * self.epochs


@dataclass(frozen=True)
class TrainingOptions(_CommonOptions):
    """How a classifier is trained: first its head, then all layers.

    Attributes:
        epochs: Maximum number of epochs after those of the head, with all layers trainable; null: as many as compute
            pays for, so more for a smaller network.
        compute: If epochs is null, the compute budget of the training and of the teacher's predictions, in forward
            passes of the teacher over the training images. An epoch counts as three passes of the network that is
            trained. null: what the reference model's training may take (head_epochs + 3 * epochs).
        distillation: How it learns from a teacher; None for no teacher.

    Raises:
        CompressorError: If a value is out of range, there are no epochs, or their number depends on a teacher that is
            not used.
    """

    epochs: int | None = option(10, ge=0)
    compute: float | None = option(None, gt=0)
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_epochs(self.head_epochs, self.epochs)
        if self.epochs is None and not (self.distillation and self.distillation.weight):
            raise CompressorError(
                "epochs is not set, so the teacher's size sets their number, but there is no teacher: set "
                "distillation.weight above 0, or give a number of epochs."
            )


def _check_epochs(head_epochs: int, epochs: int | None) -> None:
    if head_epochs + (1 if epochs is None else epochs) == 0:
        raise CompressorError("head_epochs and epochs are both 0: set one of them to train.")


@dataclass(frozen=True)
class RetrainingOptions(TrainingOptions):
    """How the compressed classifier is trained, with the reference model as its teacher.

    Attributes:
        distillation: How it learns from the teacher.
    """

    # The search has already trained the head, and a cut network needs more training than a whole pretrained one
    # (docs/quality.md has the figures).
    head_epochs: int = option(0, ge=0)
    epochs: int | None = option(None, ge=0)
    learning_rate: float = option(3e-4, gt=0)
    distillation: Distillation = Distillation()
