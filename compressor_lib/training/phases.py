"""The two phases of a training: the new layers alone, then all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX
from compressor_lib.training.learning_rate import LearningRate
from compressor_lib.training.options import TrainingOptions


@dataclass(frozen=True)
class Phase:
    """A part of the training.

    Attributes:
        name: Name, as logged.
        epochs: Maximum number of its epochs.
        later_epochs: Maximum number of epochs in later phases.
        trains: Returns whether a layer is trained.
        optimizer: Optimizer of this phase alone.
        rate: Learning rate at each step; None for a constant one.
    """

    name: str
    epochs: int
    later_epochs: int
    trains: Callable[[keras.layers.Layer], bool]
    optimizer: keras.optimizers.Optimizer
    rate: LearningRate | None = None


def phases(options: TrainingOptions, epochs: int, steps: int, head: set[str]) -> Iterator[Phase]:
    """Yields the phases of a training.

    Args:
        options: Training options.
        epochs: Maximum number of epochs with all layers trainable.
        steps: Number of batches in an epoch.
        head: Names of the layers that the first phase trains.
    """
    yield Phase(
        "head",
        options.head_epochs,
        epochs,
        lambda layer: layer.name in head,
        keras.optimizers.Adam(options.head_learning_rate),
    )
    frozen = options.batch_norm == "frozen"
    yield Phase(
        "fine-tuning",
        epochs,
        0,
        lambda layer: not (frozen and isinstance(layer, keras.layers.BatchNormalization)),
        keras.optimizers.Adam(options.learning_rate),
        LearningRate(options.learning_rate, epoch=steps, epochs=epochs),
    )


def new_layers(classifier: keras.Model) -> set[str]:
    """Returns the names of the layers that are not part of the pretrained backbone.

    Raises:
        CompressorError: If the classifier has no feature map before its head.
    """
    graph = LayerGraph.of(classifier)
    end = graph.order[last_feature_map(classifier)]
    return {name for name, position in graph.order.items() if position > end or name.startswith(TRANSLATOR_PREFIX)}
