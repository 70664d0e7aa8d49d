"""Rebuilds a network for another image size, with the same weights."""

from __future__ import annotations

from typing import Any

import keras

from compressor_lib.errors import CompressorError, first_line
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.weights import copy_weights

_Padding = tuple[tuple[int, int], tuple[int, int]]


def resized(network: keras.Model, size: int) -> keras.Model:
    """Returns a network for images of another size, with the same layers and weights.

    A zero-padding that stands for ``padding="same"`` of a strided convolution depends on the size that it pads (as in
    ``keras.applications``), so it is computed anew. The others are kept.

    Args:
        network: A flat functional model from images ``[N, height, width, channels]``, such as a backbone without head.
        size: Height and width of the new images, in pixels.

    Returns:
        A new model with the same name and layer names; the network itself if it has that size already.

    Raises:
        CompressorError: If a layer only works at the network's own size, or the images are too small for its layers.

    Example:
        >>> base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
        >>> resized(base, 96).output_shape
        (None, 3, 3, 1280)
    """
    if network.input_shape[1:3] == (size, size):
        return network
    graph = LayerGraph.of(network)
    layers = {layer.name: layer for layer in network.layers}
    kernels = {
        name: kernel for name, layer in layers.items() if (kernel := _padded_kernel(layer, graph, layers)) is not None
    }

    def call(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name in kernels:
            layer = keras.layers.ZeroPadding2D(_same_padding(x.shape[1:3], kernels[layer.name]), name=layer.name)
        return layer(x, *args, **kwargs)

    images = keras.tree.map_structure(
        lambda tensor: keras.Input((size, size, tensor.shape[-1]), dtype=tensor.dtype, name=tensor.name), network.input
    )
    try:
        clone = keras.models.clone_model(network, input_tensors=images, call_function=call)
        copy_weights(network, clone)
    except Exception as error:
        raise CompressorError(
            f"the network {network.name!r} cannot take images of {size} pixels: {first_line(error)}. Leave that size "
            "out, or build the network from layers that take images of any size.",
            argument="input_sizes",
        ) from error
    return clone


def _padded_kernel(
    layer: keras.layers.Layer, graph: LayerGraph, layers: dict[str, keras.layers.Layer]
) -> tuple[int, int] | None:
    """Returns the kernel size of the convolution for which a layer pads as ``"same"`` would; None for other layers."""
    if not isinstance(layer, keras.layers.ZeroPadding2D):
        return None
    consumers = [layers.get(name) for name in graph.consumers[layer.name]]
    if len(consumers) != 1 or not isinstance(consumers[0], keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        return None
    convolution = consumers[0]
    kernel = tuple(convolution.kernel_size)
    is_strided = tuple(convolution.strides) == (2, 2) and convolution.padding == "valid"
    if not is_strided or layer.padding != _same_padding(layer.input.shape[1:3], kernel):
        return None
    return kernel


def _same_padding(shape: tuple[int, int], kernel: tuple[int, int]) -> _Padding:
    """Returns what ``padding="same"`` adds before a convolution with stride 2, as (top, bottom), (left, right)."""
    (top, bottom), (left, right) = ((k // 2 - 1 + size % 2, k // 2) for size, k in zip(shape, kernel, strict=True))
    return (top, bottom), (left, right)
