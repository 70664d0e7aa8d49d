"""A lower bound for the memory of a network's activations, from its graph, without a conversion."""

from __future__ import annotations

import math
from collections.abc import Collection

import keras

from compressor_lib.networks.graph import LayerGraph

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def least_memory(model: keras.Model, kept: Collection[str]) -> int:
    """Returns a lower bound for :func:`compressor_lib.deployment.activation_memory.activation_memory`, in bytes.

    While an operator runs, its input and its output are both live, and so are the image and its copy in int8. Of the
    operators, only convolutions are counted, because the conversion never merges two of them. Whatever else is live
    meanwhile, such as the input of a skip connection, comes on top.

    Args:
        model: Functional model with a fixed input size.
        kept: Names of the layers that a sub-network keeps, with inputs and outputs of the same shapes.

    Returns:
        The largest such sum, with one byte for each number.
    """
    graph = LayerGraph.of(model)
    layers = {layer.name: layer for layer in model.layers}  # without operations such as a + b
    sums = [2 * math.prod(model.input_shape[1:])]
    for name in kept:
        layer = layers.get(name)
        if isinstance(layer, _CONVOLUTIONS):
            source = layers.get(graph.producers[name][0])
            # The conversion may fold padding into the convolution.
            read = source.input if isinstance(source, keras.layers.ZeroPadding2D) else layer.input
            sums.append(math.prod(read.shape[1:]) + math.prod(layer.output.shape[1:]))
    return max(sums)
