"""Connections: which part of a backbone is cut out.

A connection (A, B) keeps everything up to layer A and everything from layer B on. What lies between is
deleted and a translator rejoins the two ends (Camacho et al., Appl. Sci. 12(10) 4945, 2022). With no B
the network is truncated: A feeds the head. With a tail in place of B, A feeds a narrow translator whose
destination is the head itself, and which is trained on the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from compressor_lib.errors import CompressorError, unknown
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.layer_names import HEAD, PREPROCESS, TAIL

_ARROW = "->"


@dataclass(frozen=True, order=True)
class Connection:
    """A cut, by the names of its two layers.

    Attributes:
        a: The last layer kept in front of the cut.
        b: The first layer kept behind it, which stands for all that take the same tensor; None where the head
            follows (truncation), ``"tail"`` where a narrow tail stands between A and the head.
    """

    a: str
    b: str | None = None

    def __str__(self) -> str:
        return f"{self.a}{_ARROW}{self.b or HEAD}"

    @property
    def is_truncation(self) -> bool:
        """Whether the head follows A."""
        return self.b is None

    @property
    def is_tail(self) -> bool:
        """Whether a narrow tail follows A, and then the head."""
        return self.b == TAIL

    @property
    def rejoins(self) -> bool:
        """Whether the cut ends at a layer B of the backbone, so that a translator can be pretrained for it."""
        return not (self.is_truncation or self.is_tail)


def parse_connection(text: str | Connection | Sequence[str | int | None], base: keras.Model) -> Connection:
    """Reads a connection of ``base`` in any of its forms and checks that it can be made.

    Args:
        text: ``"block_5_add->Conv_1"``, ``"block_5_add->head"``, ``"block_5_add->tail"``, the published
            ``"53,151"``, or a pair of names or indices. Indices count the layers of the network as Keras builds it.
        base: The backbone, functional, without its head.

    Returns:
        The connection, by layer names.

    Raises:
        CompressorError: If the text has another form, a layer is unknown, or the cut cannot be made;
            the message says why.

    Example:
        >>> base = keras.applications.MobileNetV2(include_top=False, weights=None)
        >>> str(parse_connection("53,151", base))
        'block_5_add->Conv_1'
    """
    if isinstance(text, Connection):
        ends: Sequence[str | int | None] = (text.a, text.b)
    elif isinstance(text, str):
        ends = text.split(_ARROW) if _ARROW in text else text.split(",")
    else:
        ends = text
    if len(ends) != 2:
        raise CompressorError(
            f"connection {text!r} is neither 'A{_ARROW}B' with two layer names, 'A{_ARROW}{HEAD}', "
            "nor 'i,j' with two layer indices"
        )
    names = [layer.name for layer in base.layers if layer.name != PREPROCESS]
    a, b = (_layer_name(end, names) for end in ends)
    if a is None:
        raise CompressorError(f"connection {text!r} does not name the layer to cut after")
    connection = Connection(a, b)
    check_connection(connection, LayerGraph.of(base))
    return connection


def check_connection(connection: Connection, graph: LayerGraph) -> None:
    """Refuses a connection that would leave a part of the network without its input.

    Raises:
        CompressorError: If A, or the tensor that B receives, has a path around it, if B receives several tensors,
            or if B does not lie behind A.
    """
    b = connection.b if connection.rejoins else None
    for name in filter(None, (connection.a, b)):
        if name not in graph.producers:
            raise unknown("layer", name, graph.producers)
    _check_no_bypass(connection, connection.a, graph)
    if b is None:
        return
    if len(graph.producers[b]) != 1:
        raise CompressorError(
            f"connection {connection} cannot be made: {b!r} takes "
            f"{len(graph.producers[b])} tensors, a translator gives one"
        )
    (rejoined,) = graph.producers[b]
    if graph.order[connection.a] > graph.order[rejoined]:
        raise CompressorError(f"connection {connection} runs backwards: {b!r} does not lie behind {connection.a!r}")
    _check_no_bypass(connection, rejoined, graph)


def _check_no_bypass(connection: Connection, name: str, graph: LayerGraph) -> None:
    edge = graph.bypass(name)
    if edge is not None:
        raise CompressorError(
            f"connection {connection} would leave a skip branch dangling: "
            f"{edge[0]!r} feeds {edge[1]!r} around {name!r}; "
            "choose a layer that every path goes through"
        )


def _layer_name(end: str | int | None, names: Sequence[str]) -> str | None:
    if isinstance(end, str):
        end = end.strip()
        if end.isdecimal():
            end = int(end)
    if end is None or end == HEAD:
        return None
    if end == TAIL:
        return TAIL
    if isinstance(end, int):
        if not 0 <= end < len(names):
            raise CompressorError(f"layer index {end} is outside 0..{len(names) - 1}")
        return names[end]
    if end not in names:
        raise unknown("layer", end, names)
    return end
