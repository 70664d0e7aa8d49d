"""MACs (multiply-adds): the computation that a network needs for one image, counted from its graph."""

from __future__ import annotations

import math

import keras

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph

_layers = keras.layers


def multiply_adds(model: keras.Model) -> int:
    """Counts the MACs for one image.

    The convention is that of the MobileNet papers (Sandler et al., MobileNetV2, CVPR 2018, Table 4: 300M for
    MobileNetV2 1.0 at 224 px). One multiplication together with one addition counts as one. Only convolutions and dense
    layers count; biases, batch normalisation, activations, pooling and additions do not.

    Args:
        model: Functional model with a fixed input size. Nested models are counted too.

    Raises:
        CompressorError: If the model is not functional, uses a layer more than once, or has no fixed input size.
    """
    LayerGraph.of(model)  # rejects models that cannot be counted layer by layer
    return sum(layer_multiply_adds(layer) for layer in model.layers)


def layer_multiply_adds(layer: keras.layers.Layer) -> int:
    """Counts the MACs for one image in one layer of a functional model; see :func:`multiply_adds`.

    Counted are Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose, Dense (for tensors of any rank) and nested
    models. Any other layer counts as 0.
    """
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    # The whole kernel is applied at every position. These two numbers already account for groups, strides and padding.
    if isinstance(layer, _layers.Conv2D | _layers.DepthwiseConv2D | _layers.Dense):
        return _positions(layer, layer.output) * math.prod(layer.kernel.shape)
    if isinstance(layer, _layers.SeparableConv2D):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        return _positions(layer, layer.output) * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, _layers.Conv2DTranspose):
        return _positions(layer, layer.input) * math.prod(layer.kernel.shape)
    return 0


def _positions(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> int:
    """Returns the number of channel vectors that a tensor holds for one image."""
    shape = list(tensor.shape[1:])
    del shape[0 if getattr(layer, "data_format", None) == "channels_first" else -1]
    if None in shape:
        raise CompressorError(
            f"the MACs of layer {layer.name!r} depend on the image's size; build the model with a fixed input size."
        )
    return math.prod(shape)
