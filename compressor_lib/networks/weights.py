"""Copying of weights from one network to another."""

from __future__ import annotations

from collections.abc import Collection

import keras


def copy_weights(source: keras.Model, target: keras.Model, leave_out: Collection[str] = ()) -> None:
    """Gives every layer of ``target`` the weights of the layer of the same name in ``source``, if any."""
    names = {layer.name for layer in source.layers}.difference(leave_out)
    for layer in target.layers:
        if layer.name in names and layer.weights:
            give_weights(source.get_layer(layer.name), layer)


def give_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives one layer the weights of another of its kind."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Normalization):
        target.finalize_state()  # its call uses what this derives from the weights
