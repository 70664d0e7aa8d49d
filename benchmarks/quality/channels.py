"""Copies of a network with fewer channels."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from compressor_lib.networks.graph import LayerGraph

Channels = npt.NDArray[np.intp]
"""Indices of channels, in order."""

_MULTIPLE = 8


def makes_channels(layer: keras.layers.Layer) -> bool:
    """Whether a layer mixes its input's channels into new ones; the others change each channel by itself."""
    return isinstance(layer, keras.layers.Conv2D)


def rounded(count: float, most: int) -> int:
    """Rounds a number of channels to a multiple of 8, and to at least 8."""
    return min(most, max(_MULTIPLE, _MULTIPLE * round(count / _MULTIPLE)))


def group_by_channels(network: keras.Model) -> dict[str, str]:
    """Returns, for each layer, the first layer whose output has the same channels.

    Channels that are added to one another are the same.
    """
    graph = LayerGraph.of(network)
    layers = {layer.name: layer for layer in network.layers}
    groups: dict[str, str] = {}
    for name in graph.order:
        sources = [groups[producer] for producer in graph.producers[name]]
        if not sources or makes_channels(layers[name]):
            groups[name] = name
            continue
        groups[name] = sources[0]
        for other in sources[1:]:
            groups = {key: sources[0] if group == other else group for key, group in groups.items()}
    return groups


def with_channels(network: keras.Model, kept: Mapping[str, Channels]) -> keras.Model:
    """Returns a copy of a network with some of its channels, and the weights between them.

    Args:
        network: A flat functional model of convolutions without groups, depthwise convolutions, batch normalisation,
            activations, additions and pooling, which may end in a dense layer.
        kept: The channels that stay in some of the groups of :func:`group_by_channels`; the others keep all.

    Returns:
        A new model with the same layer names.
    """
    groups = group_by_channels(network)
    layers = {layer.name: layer for layer in network.layers}

    def of(name: str) -> Channels:
        group = groups[name]
        return kept[group] if group in kept else np.arange(layers[group].output.shape[-1])

    def narrow(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if makes_channels(layer):
            config["filters"] = len(of(layer.name))
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=narrow)
    producers = LayerGraph.of(network).producers
    for layer in network.layers:
        if layer.weights:
            read, made = of(producers[layer.name][0]), of(layer.name)
            copy.get_layer(layer.name).set_weights([_sliced(layer, w, read, made) for w in layer.get_weights()])
    return copy


def _sliced(
    layer: keras.layers.Layer, weights: npt.NDArray[np.float32], read: Channels, made: Channels
) -> npt.NDArray[np.float32]:
    """Returns the weights between the channels that stay."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return weights[:, :, read] if weights.ndim == 4 else weights[read]
    if makes_channels(layer):
        return weights[:, :, read][..., made] if weights.ndim == 4 else weights[made]
    if isinstance(layer, keras.layers.Dense):
        return weights[read] if weights.ndim == 2 else weights
    return weights[read]
