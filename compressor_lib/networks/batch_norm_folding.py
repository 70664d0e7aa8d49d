"""Folds batch normalisation into the convolution before it.

At inference, batch normalisation multiplies by constants and adds constants. The convolution's own weights can do both
(Jacob et al., arXiv:1712.05877, section 3.2). The predictions are the same up to rounding, with fewer passes over
memory.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import keras
import numpy as np

from compressor_lib.networks.graph import LayerGraph, functional_config
from compressor_lib.networks.weights import copy_weights

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def folded(model: keras.Model, keep: Collection[str] = ()) -> keras.Model:
    """Returns a copy of a network that gives the same predictions, but faster. The copy is for inference only.

    Args:
        model: Functional model.
        keep: Names of layers whose outputs must not change. Nothing is folded into them.

    Returns:
        A functional model with the same layer names. The batch normalisation layers are replaced by identities, and the
        convolutions before them return normalised outputs.
    """
    config = copy.deepcopy(functional_config(model))
    pairs = _foldable(model, keep)
    for layer in config["layers"]:
        if layer["name"] in pairs:
            layer["config"]["use_bias"] = True
            layer.pop("build_config", None)
        elif layer["name"] in pairs.values():
            identity = keras.layers.Activation("linear", name=layer["name"])
            layer.update(keras.layers.serialize(identity))
            layer["inbound_nodes"][0]["kwargs"] = {}
    copied = keras.Model.from_config(config)
    copy_weights(model, copied, leave_out={*pairs, *pairs.values()})
    for convolution, normalisation in pairs.items():
        copied.get_layer(convolution).set_weights(_merged(model.get_layer(convolution), model.get_layer(normalisation)))
    return copied


def _foldable(model: keras.Model, keep: Collection[str]) -> dict[str, str]:
    """Returns the convolutions that feed a batch normalisation and nothing else, mapped to that normalisation."""
    graph = LayerGraph.of(model)
    layers = {layer.name: layer for layer in model.layers}  # without operations such as a + b
    pairs = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            (producer,) = graph.producers[layer.name]
            convolution = layers.get(producer)
            if (
                convolution is not None
                and type(convolution) in _CONVOLUTIONS
                and convolution.activation is keras.activations.linear
                and graph.consumers[producer] == (layer.name,)
                and producer not in keep
                and layer.axis in (-1, 3)
            ):
                pairs[producer] = layer.name
    return pairs


def _merged(convolution: keras.layers.Layer, normalisation: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Returns the kernel and bias that combine both layers."""
    kernel, *bias = convolution.get_weights()
    mean, variance = (np.asarray(each) for each in (normalisation.moving_mean, normalisation.moving_variance))
    scale = 1 / np.sqrt(variance + normalisation.epsilon)
    if normalisation.scale:
        scale = scale * np.asarray(normalisation.gamma)
    shift = -mean * scale + (np.asarray(normalisation.beta) if normalisation.center else 0)
    if bias:
        shift = shift + bias[0] * scale
    if isinstance(convolution, keras.layers.DepthwiseConv2D):
        # The shape is [height, width, channels, multiplier]; the normalisation orders channels before multipliers.
        return [kernel * scale.reshape(kernel.shape[2:]), shift]
    return [kernel * scale, shift]
