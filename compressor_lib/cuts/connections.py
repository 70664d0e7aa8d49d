"""Connections: which part of a backbone is cut out, and how that is written.

A connection (A, B) keeps everything up to layer A and everything from layer B on. What lies between is
deleted and a translator rejoins the two ends (Camacho et al., Appl. Sci. 12(10) 4945, 2022). With no B
the network is truncated: A feeds the head. With a tail in place of B, A feeds a narrow translator whose
destination is the head itself, and which is trained on the task.

Nothing here needs a network, or Keras: a configuration can be checked at once.
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
"""The names of the families of connections; see :func:`compressor_lib.cuts.families.searched_connections`."""


class Kind(str, Enum):
    """What follows A; the value of a kind without B is written in B's place."""

    REJOIN = "rejoin"
    HEAD = HEAD
    TAIL = TAIL

    @property
    def family(self) -> Literal["rejoining", "truncation", "tail"]:
        """Name of the family that a connection of this kind belongs to."""
        return _FAMILIES[self]


_FAMILIES: dict[Kind, Literal["rejoining", "truncation", "tail"]] = {
    Kind.REJOIN: "rejoining",
    Kind.HEAD: "truncation",
    Kind.TAIL: "tail",
}


@dataclass(frozen=True, order=True)
class Connection:
    """A cut, by the names of its layers. :meth:`rejoin`, :meth:`head` and :meth:`tail` make one.

    Attributes:
        a: The last layer kept in front of the cut.
        kind: What follows it.
        b: The first layer kept behind the cut, which stands for all that take the same tensor; empty where the kind
            is not :attr:`Kind.REJOIN`.
    """

    a: str
    kind: Kind
    b: str = ""

    @classmethod
    def rejoin(cls, a: str, b: str) -> Connection:
        """A translator follows A, and then B."""
        return cls(a, Kind.REJOIN, b)

    @classmethod
    def head(cls, a: str) -> Connection:
        """A truncation: the head follows A."""
        return cls(a, Kind.HEAD)

    @classmethod
    def tail(cls, a: str) -> Connection:
        """A narrow tail follows A, and then the head."""
        return cls(a, Kind.TAIL)

    @property
    def end(self) -> str:
        """What the cut leads to, as it is written: B, ``head`` or ``tail``."""
        return self.b or self.kind.value

    def __str__(self) -> str:
        return f"{self.a}{_ARROW}{self.end}"

    @property
    def is_truncation(self) -> bool:
        """Whether the head follows A."""
        return self.kind is Kind.HEAD

    @property
    def is_tail(self) -> bool:
        """Whether a narrow tail follows A, and then the head."""
        return self.kind is Kind.TAIL

    @property
    def rejoins(self) -> bool:
        """Whether the cut ends at a layer B of the backbone, so that a translator can be pretrained for it."""
        return self.kind is Kind.REJOIN


ConnectionForm: TypeAlias = str | Connection | Sequence[str | int | None]
"""How a connection may be given, see :func:`parse_connection`."""


def parse_connection(form: ConnectionForm) -> Connection:
    """Reads a connection in any of its forms.

    Args:
        form: ``"block_5_add->Conv_1"``, ``"block_5_add->head"``, ``"block_5_add->tail"``, the published
            ``"53,151"``, or a pair of names or indices, None in the place of B for the head.

    Returns:
        The connection. Where the form has an index, that stands in the place of the layer's name;
        :func:`compressor_lib.cuts.lookup.find_connection` finds the layers in a network.

    Raises:
        CompressorError: If it has another form.

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
            "nor 'i,j' with two layer indices"
        )
    a, b = ends
    if a in (HEAD, TAIL):
        raise CompressorError(f"connection {form!r} does not name the layer to cut after")
    return Connection(a, Kind(b)) if b in (HEAD, TAIL) else Connection.rejoin(a, b)
