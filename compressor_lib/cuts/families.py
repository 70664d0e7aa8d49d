"""Families of connections: the cuts of a network that a search tries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

import keras
import numpy as np

from compressor_lib.cuts.connections import Connection, ConnectionForm, Family
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.translators import TranslatorSpec
from compressor_lib.deployment import phrases
from compressor_lib.errors import CompressorError, unknown
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.cut_points import CutPoints
from compressor_lib.networks.graph import LayerGraph

FAMILIES = get_args(Family)

LEAST_SAVING = 0.05
"""Smallest share of the backbone's parameters that a cut must save, for connections that come from the graph."""

MOST = 32
"""Maximum number of connections of one kind that come from the graph, because a deep network has thousands."""


def published_connections(base: keras.Model, cut_in_front_of: str, rejoin: Sequence[str]) -> list[Connection]:
    """Returns the grid of the published method: every A with every later B.

    Args:
        base: The backbone, a functional model without a head.
        cut_in_front_of: Regular expression. A is each layer that feeds a layer whose full name matches.
        rejoin: Names of the layers B.

    Returns:
        The connections, ordered by A and then B. An A directly before B is left out, because nothing would be removed.
    """
    graph = LayerGraph.of(base)
    grid = []
    for layer, inputs in graph.producers.items():
        if not re.fullmatch(cut_in_front_of, layer):
            continue
        (a,) = inputs
        for b in rejoin:
            if graph.order[a] < graph.order[b] and graph.producers[b] != (a,):
                grid.append(Connection.rejoin(a, b))
    return grid


def truncations(base: keras.Model, connections: Sequence[Connection]) -> list[Connection]:
    """Returns truncations at every A and every layer that feeds a B of ``connections``, in network order."""
    graph = LayerGraph.of(base)
    ends = {connection.a for connection in connections}
    ends |= {graph.producers[connection.b][0] for connection in connections if connection.rejoins}
    return [Connection.head(a) for a in sorted(ends, key=graph.order.__getitem__)]


def rejoining_connections(base: keras.Model) -> list[Connection]:
    """Returns connections from every possible cut to every later place to rejoin, for any network.

    Args:
        base: The backbone, a functional model without a head.

    Returns:
        The connections that save at least ``LEAST_SAVING`` of the parameters, net of the translator's, ordered by A and
        then B. If there are more than ``MOST``, that many are chosen, evenly from the smallest saving to the
        largest.
    """
    points, graph = CutPoints(base), LayerGraph.of(base)
    savings = {}
    for a in points.cuts:
        for b in points.rejoins:
            (rejoined,) = graph.producers[b]
            if graph.order[a] < graph.order[rejoined] and _is_at_least_as_large(
                base.get_layer(a).output, base.get_layer(b).input
            ):
                connection = Connection.rejoin(a, b)
                translator = TranslatorSpec.of(base, connection).parameters
                savings[connection] = points.parameters_between(a, b) - translator
    least = LEAST_SAVING * base.count_params()
    by_saving = sorted((c for c in savings if savings[c] >= least), key=savings.__getitem__)
    return sorted(_evenly(by_saving), key=lambda c: (graph.order[c.a], graph.order[c.b]))


def graph_truncations(base: keras.Model) -> list[Connection]:
    """Returns truncations at every possible cut, for any network.

    Args:
        base: The backbone, a functional model without a head.

    Returns:
        The truncations that save at least ``LEAST_SAVING`` of the parameters, in network order. If there are more than
        ``MOST``, that many are chosen, evenly over the depth.
    """
    points = CutPoints(base)
    least = LEAST_SAVING * base.count_params()
    return _evenly(
        [
            Connection.head(a)
            for a in points.cuts
            if points.parameters_between(a, None) >= least
            and _is_at_least_as_large(base.get_layer(a).output, base.output)
        ]
    )


def searched_connections(
    base: keras.Model, backbone: str | None, wanted: str | Sequence[ConnectionForm]
) -> list[Connection]:
    """Returns the connections that a search tries.

    Args:
        base: The backbone, a functional model without a head.
        backbone: Name of the backbone in the catalogue; None (or empty) if it is not in the catalogue.
        wanted: ``"published"`` (the published grid), ``"rejoining"`` (from every possible cut to every place to rejoin
            in the graph, see :func:`rejoining_connections`), ``"truncation"`` (cuts after the grid's layers without a
            B, or after the graph's layers if there is no grid), ``"tail"`` (the same cuts, with a narrow tail),
            ``"all"`` (the grid, or the graph's rejoining connections if there is no grid, plus truncations and tails),
            or a list of connections in any form.

    Returns:
        The connections, without duplicates.

    Raises:
        CompressorError: If a family or connection is unknown, or no connection is left.
    """
    if not isinstance(wanted, str):
        connections = list(dict.fromkeys(find_connection(form, base) for form in wanted))
        if not connections:
            raise CompressorError("the list of connections is empty; name one, or 'all'.")
        return connections
    if wanted not in FAMILIES:
        raise unknown("family of connections", wanted, FAMILIES)
    if wanted == "rejoining":
        return rejoining_connections(base)
    if backbone:
        known = find_backbone(backbone)
        rejoining = published_connections(base, known.cut_in_front_of, known.rejoin)
        truncated = truncations(base, rejoining)
    elif wanted == "published":
        raise CompressorError(
            "a model of your own has no published connections; choose 'all', 'rejoining', 'truncation' or 'tail', "
            "or list connections."
        )
    else:
        rejoining = rejoining_connections(base)
        truncated = graph_truncations(base)
    tails = [Connection.tail(truncation.a) for truncation in truncated]
    family = {
        "published": rejoining,
        "truncation": truncated,
        "tail": tails,
        "all": [*rejoining, *truncated, *tails],
    }[wanted]
    if not family:
        raise CompressorError(
            f"the graph of {base.name!r} has no connection of the family {wanted!r} that saves "
            f"{phrases.percent(LEAST_SAVING, decimals=None)} of its parameters; list connections instead."
        )
    return family


def connections_as_in(
    other: keras.Model, wanted: str | Sequence[ConnectionForm], base: keras.Model, backbone: str
) -> list[Connection]:
    """Returns the connections that a search tries in a network besides the one that they were chosen for.

    Args:
        other: The network that they were chosen for, without a head.
        wanted: A family, or a list of connections of ``other``; see :func:`searched_connections`.
        base: The network to cut, without a head.
        backbone: Its name in the catalogue.

    Returns:
        The family, or the listed connections that ``base`` has, by the names of their layers.

    Raises:
        CompressorError: If there are none.
    """
    if isinstance(wanted, str):
        return searched_connections(base, backbone, wanted)
    found = []
    for form in wanted:
        try:
            found.append(find_connection(str(find_connection(form, other)), base))
        except CompressorError:
            continue
    if not found:
        raise CompressorError(
            f"none of the listed connections is possible in {backbone}: list one that is, or name a family such as "
            "'all'."
        )
    return list(dict.fromkeys(found))


def _is_at_least_as_large(source: keras.KerasTensor, target: keras.KerasTensor) -> bool:
    return source.shape[1] >= target.shape[1] and source.shape[2] >= target.shape[2]


def _evenly(connections: list[Connection]) -> list[Connection]:
    """Returns at most ``MOST`` of the connections, evenly spaced, including the first and the last."""
    if len(connections) <= MOST:
        return connections
    return [connections[i] for i in np.linspace(0, len(connections) - 1, MOST).round().astype(int)]
