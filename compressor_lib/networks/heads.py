"""The classifier's head: what stands on a backbone or a sub-network of it."""

from __future__ import annotations

import keras

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.layer_names import CLASSIFIER, DROPOUT, HIDDEN, POOLING

_GLOBAL_POOLINGS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)


def attach_head(
    backbone: keras.Model, num_classes: int, *, units: int = 0, dropout: float = 0.0, name: str = "classifier_model"
) -> keras.Model:
    """Puts the published head on a backbone: average pooling, a linear layer, softmax.

    Args:
        backbone: Functional, ending in a feature map ``[N, h, w, channels]``. Its layers become the model's.
        num_classes: How many probabilities the model gives.
        units: Width of the linear layer in front of the softmax; 0 leaves it out.
        dropout: Share of the pooled features dropped in training; 0 leaves the layer out.
        name: The model's.

    Returns:
        A flat functional model ending in softmax ``[N, num_classes]``. The head's layers are named
        ``top_gap``, ``top_dropout``, ``top_fc1`` and ``classifier``.
    """
    x = keras.layers.GlobalAveragePooling2D(name=POOLING)(backbone.output)
    if dropout:
        x = keras.layers.Dropout(dropout, name=DROPOUT)(x)
    if units:
        x = keras.layers.Dense(units, name=HIDDEN)(x)
    x = keras.layers.Dense(num_classes, activation="softmax", name=CLASSIFIER)(x)
    return keras.Model(backbone.inputs, x, name=name)


def last_feature_map(classifier: keras.Model) -> str:
    """Name of the layer that a classifier's head stands on.

    The head begins where a feature map ``[N, h, w, channels]`` is pooled over all its positions or flattened.

    Args:
        classifier: Flat and functional.

    Raises:
        CompressorError: If it has no feature map that every path goes through.
    """
    layers = {layer.name: layer for layer in classifier.layers}
    last = None
    for name in LayerGraph.of(classifier).cut_points():
        layer = layers.get(name)  # None for an operation such as a + b
        if layer is not None:
            if isinstance(layer, _GLOBAL_POOLINGS) or len(layer.output.shape) != 4:
                break
            last = name
    if last is None or isinstance(layers[last], keras.layers.InputLayer):
        raise CompressorError(
            f"model {classifier.name!r} has no feature map [N, height, width, channels] in front of its head; "
            "only convolutional networks can be compressed"
        )
    return last
