"""The head of a classifier: the layers on top of a backbone or sub-network."""

from __future__ import annotations

import keras

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.layer_names import CLASSIFIER, DROPOUT, HIDDEN, POOLING

_GLOBAL_POOLINGS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)


def attach_head(
    backbone: keras.Model, num_classes: int, *, units: int = 0, dropout: float = 0.0, name: str = "classifier_model"
) -> keras.Model:
    """Adds the published head to a backbone: average pooling, a linear layer and softmax.

    Args:
        backbone: Functional model that ends in a feature map ``[N, h, w, channels]``. The new model shares its layers.
        num_classes: Number of classes.
        units: Width of the linear layer before the softmax. 0 omits the layer.
        dropout: Dropout rate of the pooled features. 0 omits the layer.
        name: Name of the new model.

    Returns:
        A flat functional model that ends in softmax ``[N, num_classes]``. Its head layers are named ``top_gap``,
        ``top_dropout``, ``top_fc1`` and ``classifier``.
    """
    x = keras.layers.GlobalAveragePooling2D(name=POOLING)(backbone.output)
    if dropout:
        x = keras.layers.Dropout(dropout, name=DROPOUT)(x)
    if units:
        x = keras.layers.Dense(units, name=HIDDEN)(x)
    x = keras.layers.Dense(num_classes, activation="softmax", name=CLASSIFIER)(x)
    return keras.Model(backbone.inputs, x, name=name)


def last_feature_map(classifier: keras.Model) -> str:
    """Returns the name of the layer that feeds a classifier's head.

    The head begins where a feature map ``[N, h, w, channels]`` is flattened or pooled over all positions.

    Args:
        classifier: Flat functional model.

    Raises:
        CompressorError: If there is no feature map on every path.
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
            f"model {classifier.name!r} has no feature map [N, height, width, channels] before its head; "
            "only convolutional networks can be compressed."
        )
    return last
