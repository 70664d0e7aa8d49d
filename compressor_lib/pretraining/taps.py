"""Taps: the activations of a backbone that searches and translators are computed from, in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.translators import TranslatorSpec
from compressor_lib.networks.batch_norm_folding import folded
from compressor_lib.networks.graph import LayerGraph


def source_tap(base: keras.Model, connection: Connection) -> str:
    """Returns the name of the tap with the input of the connection's 1x1 convolution: A's output, pooled.

    Connections that cut after the same layer and pool to the same size share one tap. A truncation's tap is A's output
    averaged over its positions, which is the input of a head.
    """
    if connection.is_truncation:
        return f"{connection.a}@mean"
    height, width, _ = TranslatorSpec.of(base, connection).target
    return f"{connection.a}@{height}x{width}"


def target_tap(connection: Connection) -> str:
    """Returns the name of the tap with the original input of the connection's B."""
    return f"{connection.b}@input"


def tapped(base: keras.Model, connections: Sequence[Connection], *, targets: bool) -> keras.Model:
    """Returns the backbone with a tap at every cut.

    Args:
        base: The backbone, without a head.
        connections: The connections whose activations are needed.
        targets: Whether the original inputs of each B are needed too.

    Returns:
        A model with its own weights, from the backbone's input to a dict of taps, ``[N, h, w, channels]`` or, for
        truncations, ``[N, channels]``. It ends at the deepest tapped layer and is compiled for ``predict_on_batch``.
    """
    graph = LayerGraph.of(base)
    ends = {connection.a for connection in connections}
    ends |= {producer for c in connections if c.rejoins for producer in graph.producers[c.b]}
    network = folded(base, keep=ends)
    taps: dict[str, keras.KerasTensor] = {}
    for connection in connections:
        name = source_tap(base, connection)
        if name not in taps:
            a = network.get_layer(connection.a).output
            if connection.is_truncation:
                taps[name] = keras.layers.GlobalAveragePooling2D()(a)
            else:
                spec = TranslatorSpec.of(base, connection)
                taps[name] = spec.pool(name=None)(a) if spec.pools else a
        if targets and connection.rejoins:
            taps[target_tap(connection)] = network.get_layer(connection.b).input
    model = keras.Model(network.input, taps)
    model.compile(jit_compile=False)
    return model
