"""What a search needs of a hypermodel, whether it holds one backbone or several, and one budget or a family."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import keras_tuner as kt

from compressor_lib.cuts.connections import Connection
from compressor_lib.objective.costs import Budgets


class SearchSpace(Protocol):
    """A hypermodel that :func:`compressor_lib.search.run.run_search` searches.

    Attributes:
        tau: Weight of accuracy in the objective.
        cost: Name of the cost in the objective.
        max_cost: Cost of the uncompressed classifier.
        budgets: Limits that a network must not exceed.
    """

    tau: float
    cost: str
    max_cost: float
    budgets: Budgets

    def budgets_of(self, hp: kt.HyperParameters) -> Budgets:
        """Returns the limits that a trial's score was reduced by if its network exceeds one."""
        ...

    def network(self, hp: kt.HyperParameters) -> tuple[str, int]:
        """Returns the name of a trial's backbone and the height and width of its images, in pixels."""
        ...

    def connection(self, hp: kt.HyperParameters) -> Connection:
        """Returns a trial's connection."""
        ...

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns a trial's compiled classifier."""
        ...

    def build_trial(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns a trial's compiled classifier, which may share its frozen layers with other trials."""
        ...

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains a trial's classifier, with the arguments of Keras' ``fit``."""
        ...
