"""Looks up connections in a network and checks that the network can be cut there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import keras

from compressor_lib.cuts.connections import Connection, ConnectionForm, parse_connection
from compressor_lib.errors import CompressorError, unknown
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.layer_names import PREPROCESS


def find_connection(form: ConnectionForm, base: keras.Model) -> Connection:
    """Finds the layers of ``base`` that a connection refers to, and checks that the cut is possible.

    Args:
        form: See :func:`compressor_lib.cuts.connections.parse_connection`. Indices count the layers of the network as
            built by Keras.
        base: The backbone, a functional model without a head.

    Returns:
        The connection, by layer names.

    Raises:
        CompressorError: If the form is not valid, a layer is unknown, or the cut is not possible. The message says why.

    Example:
        >>> base = keras.applications.MobileNetV2(include_top=False, weights=None)
        >>> str(find_connection("53,151", base))
        'block_5_add->Conv_1'
    """
    given = parse_connection(form)
    names = [layer.name for layer in base.layers if layer.name != PREPROCESS]
    connection = replace(given, a=_layer_name(given.a, names), b=_layer_name(given.b, names) if given.rejoins else "")
    check_connection(connection, LayerGraph.of(base))
    return connection


def check_connection(connection: Connection, graph: LayerGraph) -> None:
    """Rejects a connection that would leave a part of the network without its input.

    Raises:
        CompressorError: If a path bypasses A or B's input, if B has several inputs, or if B does not come after A.
    """
    for name in filter(None, (connection.a, connection.b)):
        if name not in graph.producers:
            raise unknown("layer", name, graph.producers)
    _check_no_bypass(connection, connection.a, graph)
    if not connection.rejoins:
        return
    if len(graph.producers[connection.b]) != 1:
        raise CompressorError(
            f"connection {connection} is not possible: {connection.b!r} takes "
            f"{len(graph.producers[connection.b])} tensors, but a translator outputs one."
        )
    (rejoined,) = graph.producers[connection.b]
    if graph.order[connection.a] > graph.order[rejoined]:
        raise CompressorError(
            f"connection {connection} runs backwards: {connection.b!r} does not come after {connection.a!r}."
        )
    _check_no_bypass(connection, rejoined, graph)


def _check_no_bypass(connection: Connection, name: str, graph: LayerGraph) -> None:
    edge = graph.bypass(name)
    if edge is not None:
        raise CompressorError(
            f"connection {connection} would cut off a skip branch: "
            f"{edge[0]!r} feeds {edge[1]!r} around {name!r}; "
            "choose a layer that every path goes through."
        )


def _layer_name(end: str, names: Sequence[str]) -> str:
    """Returns the layer's name, if ``end`` is its name or index."""
    if re.fullmatch(r"-?\d+", end):
        if not 0 <= int(end) < len(names):
            raise CompressorError(f"layer index {end} is outside 0..{len(names) - 1}.")
        return names[int(end)]
    if end not in names:
        raise unknown("layer", end, names)
    return end
