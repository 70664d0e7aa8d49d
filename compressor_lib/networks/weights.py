"""Copies weights from one network to another."""

from __future__ import annotations

from collections.abc import Collection

import keras


def copy_weights(source: keras.Model, target: keras.Model, leave_out: Collection[str] = ()) -> None:
    """Copies weights from each layer of ``source`` to the layer of the same name in ``target``, if any."""
    names = {layer.name for layer in source.layers}.difference(leave_out)
    for layer in target.layers:
        if layer.name in names and layer.weights:
            copy_layer_weights(source.get_layer(layer.name), layer)


def copy_layer_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copies the weights of one layer to another of the same kind."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Normalization):
        target.finalize_state()  # calls use values derived from the weights
