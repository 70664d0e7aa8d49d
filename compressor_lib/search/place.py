"""The names and conditions of one backbone's hyperparameters in a search over several.

keras-tuner has conditional hyperparameters, but two of the same name under different conditions destroy each other's
values (``HyperParameters.ensure_active_values``). So each backbone's connections have a hyperparameter of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras_tuner as kt

_BEFORE_SUFFIX = " ("


@dataclass(frozen=True)
class Place:
    """The place of one backbone's hyperparameters in a search space.

    Attributes:
        conditions: Values of other hyperparameters under which they exist, by name.
        network: The backbone in words, such as ``"MobileNet, 96 px"``, which their names end with; empty for none.

    Example:
        >>> Place({"backbone": "MobileNet"}, "MobileNet, 96 px").named("translator")
        'translator (MobileNet, 96 px)'
    """

    conditions: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""

    def named(self, name: str) -> str:
        """Returns the name of one of the hyperparameters in this place."""
        return f"{name}{_BEFORE_SUFFIX}{self.network})" if self.network else name

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
    return {name.partition(_BEFORE_SUFFIX)[0]: value for name, value in values.items()}
