"""Section ``search``: the library's options, with wrong lists refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, get_args

from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from compressor_lib.cuts.connections import Family, parse_connection
from compressor_lib.deployment.latency_table import LatencyTable
from compressor_lib.errors import CompressorError
from compressor_lib.search.options import BackboneOptions, BudgetOptions, PruningSearchOptions
from pipelines.config.errors import shown
from pipelines.config.sections.base import existing_file, weights_file


def _connections(value: object) -> object:
    """Accepts the name of a family, one connection, or a list of connections."""
    words = get_args(Family)
    if isinstance(value, str) and value in words:
        return value
    items = list(value) if isinstance(value, list | tuple) else [value]
    if items and all(map(_is_connection, items)):
        return items
    raise ValueError(
        f"is {shown(value)}: choose {', '.join(words)}, or list connections such as "
        "'block_5_add->Conv_1', 'block_5_add->head', 'block_5_add->tail' or '53,151'."
    )


def _is_connection(item: object) -> bool:
    """Whether an item has the form of a connection, without checking that the network has it."""
    if not isinstance(item, str):
        return False
    try:
        parse_connection(item)
    except CompressorError:
        return False
    return True


def _backbones(value: object) -> object:
    """Accepts one backbone or a list of backbones, each a section or a name alone, or null."""
    if value is None:
        return None
    items = value if isinstance(value, list | tuple) else [value]
    return [{"name": item} if isinstance(item, str) else item for item in items]


FAMILY, LIMITS = "family", "limits"
"""The two forms of the budgets; pydantic puts them into the locations of its errors."""


def _budgets_form(value: object) -> str:
    """Whether budgets are one set of limits or named sets of limits."""
    if not isinstance(value, Mapping) or not value:
        return LIMITS
    return FAMILY if all(isinstance(one, Mapping | BudgetOptions) for one in value.values()) else LIMITS


def _not_mixed(value: object) -> object:
    """Refuses an empty set of budgets, and limits beside named sets of limits."""
    if not isinstance(value, Mapping):
        return value
    if not value:
        raise ValueError("is empty: give a limit such as parameters, or named sets of limits, or remove it.")
    named = [name for name, one in value.items() if isinstance(one, Mapping)]
    limits = [field.name for field in fields(BudgetOptions)]
    if named:  # a limit of null is none
        value = {name: one for name, one in value.items() if one is not None or name not in limits}
    if named and len(named) < len(value):
        (single, *_) = (name for name in value if name not in named)
        what = "is a limit" if single in limits else "is no set of limits"
        raise ValueError(
            f"has both: {single} {what}, and {named[0]} is a set of limits. Give limits only, or named sets of limits "
            f"only, as in {{tiny: {{memory_kb: 256}}, small: {{macs: 50000000}}}}."
        )
    return value


@dataclass(frozen=True)
class FurtherBackbone(BackboneOptions):
    """A further backbone to search; a name alone stands for a backbone with the defaults of the other fields."""

    weights: Annotated[str, AfterValidator(weights_file)] = BackboneOptions.weights


def _latency_table(path: str) -> str:
    """Makes a path absolute, and refuses a local file that is not a latency table."""
    path = existing_file(path, "write the files to measure with 'compressor latency-table'")
    if "://" not in path:
        try:
            LatencyTable.read(path)
        except CompressorError as error:
            raise ValueError(f"is {path!r}: {error}") from error
    return path


@dataclass(frozen=True)
class Search(PruningSearchOptions):
    """How the connection to cut is searched."""

    budgets: Annotated[
        Annotated[BudgetOptions, Tag(LIMITS)] | Annotated[dict[str, BudgetOptions], Tag(FAMILY)],
        Discriminator(_budgets_form),
        BeforeValidator(_not_mixed),
    ] = PruningSearchOptions.budgets  # type: ignore[assignment]
    backbones: Annotated[tuple[FurtherBackbone, ...] | None, BeforeValidator(_backbones)] = None
    latency_table: Annotated[str, AfterValidator(_latency_table)] | None = None
    connections: Annotated[Family | tuple[str, ...], BeforeValidator(_connections)] = PruningSearchOptions.connections
