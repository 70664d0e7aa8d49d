"""Connections: descriptions of the part of a backbone that is cut out, and their notation.

A connection (A, B) keeps all layers up to A and all layers from B on. The layers in between are removed, and a
translator rejoins the two ends (Camacho et al., Appl. Sci. 12(10) 4945, 2022). Without a B, the network is truncated: A
feeds the head. With a tail instead of B, A feeds a narrow translator that leads to the head and is trained on the task.

This module needs neither a network nor Keras, so that a configuration can be checked quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from compressor_lib.errors import CompressorError
from compressor_lib.networks.layer_names import HEAD, TAIL

_ARROW = "->"

Family: TypeAlias = Literal["published", "rejoining", "truncation", "tail", "all"]
"""The names of the families of connections, see :func:`compressor_lib.cuts.families.searched_connections`."""


class Kind(str, Enum):
    """What follows A. For kinds without a B, the value is written in B's place."""

    REJOIN = "rejoin"
    HEAD = HEAD
    TAIL = TAIL

    @property
    def family(self) -> Literal["rejoining", "truncation", "tail"]:
        """Name of the family of connections of this kind."""
        return _FAMILIES[self]


_FAMILIES: dict[Kind, Literal["rejoining", "truncation", "tail"]] = {
    Kind.REJOIN: "rejoining",
    Kind.HEAD: "truncation",
    Kind.TAIL: "tail",
}


@dataclass(frozen=True, order=True)
class Connection:
    """A cut, by the names of its layers. Create one with :meth:`rejoin`, :meth:`head` or :meth:`tail`.

    Attributes:
        a: The last layer before the cut.
        kind: What follows A.
        b: The first layer after the cut, which represents all layers with the same input; empty unless the kind is
            :attr:`Kind.REJOIN`.
    """

    a: str
    kind: Kind
    b: str = ""

    @classmethod
    def rejoin(cls, a: str, b: str) -> Connection:
        """Creates a connection with a translator and then B after A."""
        return cls(a, Kind.REJOIN, b)

    @classmethod
    def head(cls, a: str) -> Connection:
        """Creates a truncation: the head follows A."""
        return cls(a, Kind.HEAD)

    @classmethod
    def tail(cls, a: str) -> Connection:
        """Creates a connection with a narrow tail and then the head after A."""
        return cls(a, Kind.TAIL)

    @property
    def end(self) -> str:
        """The end of the connection as text: B, ``head`` or ``tail``."""
        return self.b or self.kind.value

    def __str__(self) -> str:
        return f"{self.a}{_ARROW}{self.end}"

    @property
    def is_truncation(self) -> bool:
        """Whether the head directly follows A."""
        return self.kind is Kind.HEAD

    @property
    def is_tail(self) -> bool:
        """Whether a narrow tail and then the head follow A."""
        return self.kind is Kind.TAIL

    @property
    def rejoins(self) -> bool:
        """Whether the cut ends at a layer B of the backbone, so that its translator can be fitted in advance."""
        return self.kind is Kind.REJOIN


ConnectionForm: TypeAlias = str | Connection | Sequence[str | int | None]
"""The possible forms of a connection, see :func:`parse_connection`."""


def parse_connection(form: ConnectionForm) -> Connection:
    """Parses a connection in any of its forms.

    Args:
        form: ``"block_5_add->Conv_1"``, ``"block_5_add->head"``, ``"block_5_add->tail"``, the published ``"53,151"``,
            or a pair of names or indices, with None instead of B for the head.

    Returns:
        The connection. Indices in the form are kept in place of layer names;
        :func:`compressor_lib.cuts.lookup.find_connection` looks up the layers in a network.

    Raises:
        CompressorError: If the form is not one of these.

    Example:
        >>> parse_connection("block_5_add->tail")
        Connection(a='block_5_add', kind=<Kind.TAIL: 'tail'>, b='')
        >>> str(parse_connection("53, 151"))
        '53->151'
    """
    if isinstance(form, Connection):
        return form
    if isinstance(form, str):
        given: Sequence[str | int | None] = form.split(_ARROW) if _ARROW in form else form.split(",")
    else:
        given = form
    ends = [HEAD if end is None else str(end).strip() for end in given]
    if len(ends) != 2 or not all(ends):
        raise CompressorError(
            f"connection {form!r} is neither 'A{_ARROW}B' with two layer names, 'A{_ARROW}{HEAD}', 'A{_ARROW}{TAIL}', "
            "nor 'i,j' with two layer indices."
        )
    a, b = ends
    if a in (HEAD, TAIL):
        raise CompressorError(f"connection {form!r} does not name the layer to cut after.")
    return Connection(a, Kind(b)) if b in (HEAD, TAIL) else Connection.rejoin(a, b)
