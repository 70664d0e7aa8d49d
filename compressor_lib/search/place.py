"""The names and conditions of the hyperparameters of one backbone, or within one budget, in a search over several.

keras-tuner has conditional hyperparameters, but two of the same name under different conditions destroy each other's
values (``HyperParameters.ensure_active_values``). So the connections of each backbone, and those within each budget,
have a hyperparameter of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras_tuner as kt

BUDGET = "budget"
"""Name of the hyperparameter for the budget that a trial is for."""

_BEFORE_SUFFIX = " ("


@dataclass(frozen=True)
class Place:
    """The place of some hyperparameters in a search space.

    Attributes:
        conditions: Values of other hyperparameters under which they exist, by name.
        words: What their names end with, such as ``"MobileNet, 96 px"``; empty for nothing.

    Example:
        >>> Place({"backbone": "MobileNet"}, "MobileNet, 96 px").named("translator")
        'translator (MobileNet, 96 px)'
    """

    conditions: Mapping[str, Any] = field(default_factory=dict)
    words: str = ""

    def named(self, name: str) -> str:
        """Returns the name of one of the hyperparameters in this place."""
        return f"{name}{_BEFORE_SUFFIX}{self.words})" if self.words else name

    def inner(self, conditions: Mapping[str, Any], words: str = "") -> Place:
        """Returns a place within this one, with further conditions and words.

        Example:
            >>> Place({"budget": "tiny"}, "tiny").inner({"backbone": "MobileNet"}, "MobileNet").named("translator")
            'translator (tiny, MobileNet)'
        """
        return Place({**self.conditions, **conditions}, ", ".join(filter(None, [self.words, words])))

    @contextmanager
    def scope(self, hp: kt.HyperParameters) -> Iterator[None]:
        """Enters the conditions. The hyperparameters in them must be declared already."""
        with ExitStack() as scopes:
            for name, value in self.conditions.items():
                scopes.enter_context(hp.conditional_scope(name, [value]))
            yield


def without_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns hyperparameters by their names without places.

    Example:
        >>> without_places({"input_size": 96, "translator (MobileNet, 96 px)": "conv_pw_6_relu->head", "lr": 0.01})
        {'input_size': 96, 'translator': 'conv_pw_6_relu->head', 'lr': 0.01}
    """
    return {plain_name(name): value for name, value in values.items()}


def plain_name(name: str) -> str:
    """Returns the name of a hyperparameter without its place.

    Example:
        >>> plain_name("translator (MobileNet, 96 px)")
        'translator'
    """
    return name.partition(_BEFORE_SUFFIX)[0]
