"""One search for a family of networks: the best one within each of several named budgets.

Which budget a trial is for is a hyperparameter, ``budget``. A trial is built, and its score reduced, within its own
budget alone, but it counts for every budget that its network meets. All trials train on the same cached outputs of the
backbones.

Scores of trials for different budgets must not compete: a larger budget allows more accurate networks, so a tuner that
prefers good scores would try nothing else. That is why each budget has its own share of the trials and its own oracle,
see :mod:`compressor_lib.search.family_oracle`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner as kt

from compressor_lib.cuts.connections import Connection
from compressor_lib.errors import CompressorError
from compressor_lib.objective.costs import Budgets
from compressor_lib.search.backbones import HyperBackbones, Network
from compressor_lib.search.hypermodels import OverBudgetError
from compressor_lib.search.place import BUDGET, Place


class HyperFamily(kt.HyperModel):
    """Searches the same networks within several named budgets.

    Hyperparameters: ``budget``, the name of the budget that a trial is for, and those of
    :class:`compressor_lib.search.backbones.HyperBackbones` within each. The names of those of the first budget are
    unchanged; those of the others end with the budget, as in ``translator (small)``.

    Example:
        >>> tiny = HyperCompressedMobileNetV2(2.3e6, 5, budgets={"memory": 256})
        >>> small = HyperCompressedMobileNetV2(2.3e6, 5, budgets={"macs": 50e6}, shares_with=tiny)
        >>> network = ("MobileNetV2", 224)
        >>> family = HyperFamily(
        ...     {
        ...         "tiny": HyperBackbones({network: (tiny, train, validation)}),
        ...         "small": HyperBackbones({network: (small, train, validation)}),
        ...     }
        ... )  # doctest: +SKIP
        >>> tuner = run_search(family, train, validation, SearchOptions(), "trials")  # doctest: +SKIP
        >>> best = trials_within_budget(tuner, family.within("tiny"))[0]  # doctest: +SKIP
    """

    def __init__(self, members: Mapping[str, HyperBackbones], name: str | None = None, tunable: bool = True) -> None:
        """Defines the search space without building anything.

        Args:
            members: The search space within each budget, by the budget's name. The first one is the default. They
                differ in their budgets only, and their hypermodels of the same network share its outputs
                (``shares_with``).
            name: Name of the hypermodel.
            tunable: As in keras-tuner.

        Raises:
            CompressorError: If there are no budgets, or the spaces differ in their objectives.
        """
        super().__init__(name, tunable)
        if not members:
            raise CompressorError("the family has no budgets: give one.")
        self.members = dict(members)
        first, *others = self.members.values()
        for number, (budget, member) in enumerate(self.members.items()):
            member.place = Place({BUDGET: budget}, budget if number else "")
        for other in others:
            if _objective(other) != _objective(first):
                raise CompressorError(
                    "the search spaces differ in num_classes, tau, cost or max_cost, so a trial cannot count for "
                    "several budgets: give them the same ones."
                )
        self.tau, self.cost, self.max_cost, self.num_classes = first.tau, first.cost, first.max_cost, first.num_classes
        self.budgets, self.yardstick = Budgets({}), first.yardstick

    def within(self, budget: str) -> WithinBudget:
        """Returns the whole search as seen from one budget: all trials, within the limits of that budget."""
        return WithinBudget(self, budget)

    def check_affordable(self) -> None:
        """Builds the search space within each budget, without any trial.

        Raises:
            OverBudgetError: If no network meets one of the budgets; the message names it.
        """
        for budget, member in self.members.items():
            try:
                _ = member.members
            except OverBudgetError as error:
                raise OverBudgetError(f"budget {budget!r}: {error}", error.excess) from error

    def budget(self, hp: kt.HyperParameters) -> str:
        """Returns the name of the budget that a trial is for."""
        return str(hp.Choice(BUDGET, list(self.members)))

    def budgets_of(self, hp: kt.HyperParameters) -> Budgets:
        """Returns the limits that a trial's score was reduced by: those of its own budget."""
        return self.member(hp).budgets

    def member(self, hp: kt.HyperParameters) -> HyperBackbones:
        """Returns the search space within a trial's budget."""
        return self.members[self.budget(hp)]

    def declare_hyperparameters(self, hp: kt.HyperParameters) -> None:
        """Declares the choices within every budget. Called by keras-tuner."""
        self.budget(hp)
        for member in self.members.values():
            member.declare_hyperparameters(hp)

    def network(self, hp: kt.HyperParameters) -> Network:
        """Returns the name of a trial's backbone and the height and width of its images, in pixels."""
        return self.member(hp).network(hp)

    def connection(self, hp: kt.HyperParameters) -> Connection:
        """Returns the connection of a trial, by layer names."""
        return self.member(hp).connection(hp)

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """Returns the compiled classifier of a trial."""
        return self.member(hp).build(hp)

    def build_trial(self, hp: kt.HyperParameters) -> keras.Model:
        """Builds a trial whose frozen layers are shared; see :meth:`HyperCompressor.build_trial`."""
        return self.member(hp).build_trial(hp)

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains a trial's model; see :meth:`HyperBackbones.fit`."""
        return self.member(hp).fit(hp, model, *args, **kwargs)

    def narrow_to(self, count: int) -> None:
        """Restricts the search to the most promising connections; see :meth:`HyperBackbones.narrow_to`.

        Args:
            count: Number of connections to keep, shared out equally among the budgets.

        Raises:
            CompressorError: If ``count`` is below 1.
        """
        for member in self.members.values():
            member.narrow_to(math.ceil(count / len(self.members)))

    def release_features(self) -> None:
        """Deletes the cached outputs of all networks; see :meth:`HyperCompressor.release_features`."""
        for member in self.members.values():
            member.release_features()


class WithinBudget:
    """A family's search as seen from one budget, for reports and for the choice of its winner.

    Attributes:
        tau: As in :class:`compressor_lib.search.space.SearchSpace`.
        cost: As there.
        max_cost: As there.
        budgets: The limits of the budget, whatever budget a trial is for.
    """

    def __init__(self, family: HyperFamily, budget: str) -> None:
        self._family = family
        self.tau, self.cost, self.max_cost = family.tau, family.cost, family.max_cost
        self.budgets = family.members[budget].budgets
        self.budgets_of, self.network, self.connection = family.budgets_of, family.network, family.connection
        self.build, self.build_trial, self.fit = family.build, family.build_trial, family.fit


def _objective(member: HyperBackbones) -> tuple[Any, ...]:
    return member.num_classes, member.tau, member.cost, member.max_cost
