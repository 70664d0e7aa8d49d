"""The classifier's head: what stands on a backbone or a sub-network of it."""

from __future__ import annotations

import keras

POOLING = "top_gap"
DROPOUT = "top_dropout"
HIDDEN = "top_fc1"
CLASSIFIER = "classifier"


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
