"""Section ``search``: the library's options, with a wrong list of connections refused in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_args

from pydantic import BeforeValidator

from compressor_lib.cuts.family_names import Family
from compressor_lib.search.options import PruningSearchOptions
from pipelines.config.errors import shown


def _connections(value: object) -> object:
    """Accepts one of some words, one connection, or a list of connections."""
    words = get_args(Family)
    items = list(value) if isinstance(value, list | tuple) else [value]
    if items and all(isinstance(i, str) and ("->" in i or "," in i) for i in items):
        return items
    if isinstance(value, str) and value in words:
        return value
    raise ValueError(
        f"is {shown(value)}: choose {', '.join(words)}, or list connections such as "
        "'block_5_add->Conv_1', 'block_5_add->head', 'block_5_add->tail' or '53,151'."
    )


@dataclass(frozen=True)
class Search(PruningSearchOptions):
    """How the connection to cut is searched."""

    connections: Annotated[Family | tuple[str, ...], BeforeValidator(_connections)] = PruningSearchOptions.connections
