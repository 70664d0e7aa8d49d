"""Multiply-adds: how much a network computes for one image, counted from its graph."""

from __future__ import annotations

import math

import keras

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph

_layers = keras.layers


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of one image.

    The convention is that of the MobileNets (Sandler et al., MobileNetV2, CVPR 2018, Table 4: 300M for
    MobileNetV2 1.0 at 224 px): one multiplication together with its addition counts one, and only convolutions
    and dense layers count. Biases, batch normalisation, activations, pooling and additions count nothing.

    Args:
        model: Functional, with a fixed input size; models nested in it are counted too.

    Raises:
        CompressorError: If the model is not functional, calls a layer more than once, or has no fixed input size.
    """
    LayerGraph.of(model)  # refuses what cannot be counted layer by layer
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer: keras.layers.Layer) -> int:
    """Counts the multiply-adds of one image in one layer of a functional model; see :func:`multiply_adds`.

    Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose, Dense (on tensors of any rank) and nested models
    count, anything else is 0.
    """
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    # Each kernel is applied as a whole at every position: groups, strides and padding are in these two numbers.
    if isinstance(layer, _layers.Conv2D | _layers.DepthwiseConv2D | _layers.Dense):
        return _positions(layer, layer.output) * math.prod(layer.kernel.shape)
    if isinstance(layer, _layers.SeparableConv2D):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return _positions(layer, layer.output) * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, _layers.Conv2DTranspose):
        return _positions(layer, layer.input) * math.prod(layer.kernel.shape)
    return 0


def _positions(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> int:
    """How many vectors of channels a tensor holds for one image."""
    shape = list(tensor.shape[1:])
    del shape[0 if getattr(layer, "data_format", None) == "channels_first" else -1]
    if None in shape:
        raise CompressorError(
            f"the multiply-adds of layer {layer.name!r} depend on the image's size; "
            "build the model with a fixed input size"
        )
    return math.prod(shape)
