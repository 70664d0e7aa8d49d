"""keras-tuner's oracles, beginning with what is known to be good.

A search that is repeated on new data need not find out anew what was best before: that is its first trial. Which known
trial is next is read off the trials that there are, so a search that was cut short goes on as it would have gone.

Of what keras-tuner keeps to itself these take ``_random_state`` (Bayesian), ``_get_num_brackets``, ``_get_num_rounds``,
``_get_size``, ``_random_trial`` and ``_random_values`` (Hyperband), ``_populate_next``, and ``_ordered_ids`` with its
``_memory`` (grid): see :mod:`compressor_lib.search.keras_tuner_hooks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import keras_tuner as kt
import numpy as np
from keras_tuner.engine import hyperparameters as hp_module

from compressor_lib.errors import CompressorError
from compressor_lib.search.durable import DurableOracle

Values = dict[str, Any]


def values_in(space: kt.HyperParameters, known: Mapping[str, Any]) -> Values:
    """What a search space takes of known hyperparameters: all that it has, and its default where nothing is known.

    Args:
        space: The search space.
        known: Values by name; names that the space does not have are passed over.

    Raises:
        CompressorError: If the space does not have one of the values.

    Example:
        >>> space = kt.HyperParameters()
        >>> space.Choice("units", [0, 64])
        0
        >>> values_in(space, {"units": 64, "momentum": 0.9})
        {'units': 64}
    """
    taken = kt.HyperParameters()
    for hyperparameter in space.space:
        taken.merge([hyperparameter])
        if taken.is_active(hyperparameter):
            value = known.get(hyperparameter.name, hyperparameter.default)
            if not _has(hyperparameter, value):
                raise CompressorError(f"{hyperparameter.name} {value!r} is not among what is searched")
            taken.values[hyperparameter.name] = value
    return dict(taken.values)


def _has(hyperparameter: hp_module.HyperParameter, value: Any) -> bool:
    if isinstance(hyperparameter, hp_module.Int | hp_module.Float) and hyperparameter.step is None:
        is_number = isinstance(value, int | float)
        return is_number and hyperparameter.min_value <= value <= hyperparameter.max_value
    return value in hyperparameter.values


class KnownFirst(DurableOracle):
    """Mixed into an oracle, in front of it.

    Attributes:
        first: Values of the first trials, as :func:`values_in` gives them; to be set before there are any. They are
            saved with the oracle's state.
    """

    first: Sequence[Values] = ()
    max_trials: int | None
    start_order: list[str]

    @property
    def planned_trials(self) -> int | None:
        """How many trials there will be, at most; None for any number."""
        return self.max_trials

    def get_state(self) -> Values:
        """How far the search is, to be saved; keras-tuner's hook."""
        return {**super().get_state(), "first": list(self.first)}

    def set_state(self, state: Values) -> None:
        """Takes up what was saved; keras-tuner's hook."""
        self.first = state.get("first", ())
        super().set_state(state)

    def populate_space(self, trial_id: str) -> Values:
        """The values of the next trial; keras-tuner's hook."""
        started = len(self.start_order)
        if started < len(self.first):
            return {"status": "RUNNING", "values": dict(self.first[started])}
        response: Values = super().populate_space(trial_id)
        return response


class RandomOracle(KnownFirst, kt.oracles.RandomSearchOracle):
    """Random search."""


class BayesianOracle(KnownFirst, kt.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation."""

    def populate_space(self, trial_id: str) -> Values:
        """The values of the next trial; keras-tuner's hook."""
        # keras-tuner does not save how far its random numbers are.
        self._random_state = np.random.RandomState([self.seed, len(self.start_order)])
        return super().populate_space(trial_id)


class HyperbandOracle(KnownFirst, kt.oracles.HyperbandOracle):
    """Hyperband; each bracket begins with the known trials.

    A bracket gives its first round few epochs, another number in each bracket, and lets only the best go on. What was
    best after many epochs need not be after few; in the last bracket it has all of them.

    keras-tuner's oracle makes as many trials as follow from ``max_epochs``. Here ``max_trials`` bounds them: all rounds
    of all brackets are made smaller in the same proportion, so that each bracket still ends with trials of the most
    epochs. Where not even one trial a round is left, the brackets with the most rounds are left out.

    Args:
        max_trials: The most trials of all brackets together; None for as many as follow from ``max_epochs``.
        **options: Those of keras-tuner's oracle.
    """

    max_epochs: int
    _next: Sequence[Values] = ()

    def __init__(self, *, max_trials: int | None = None, **options: Any) -> None:
        self._most_trials = max_trials  # the base class sets max_trials to None, then asks for the first bracket
        super().__init__(**options)
        self.max_trials = max_trials

    @property
    def planned_trials(self) -> int:
        """How many trials there will be, at most."""
        return sum(self._sizes.values())

    def set_state(self, state: Values) -> None:
        """Takes up what was saved; keras-tuner's hook."""
        super().set_state(state)
        self.__dict__.pop("_sizes", None)  # the epochs may be others now

    @cached_property
    def _sizes(self) -> dict[tuple[int, int], int]:
        """How many trials each bracket has in each round."""
        brackets = range(super()._get_num_brackets())
        full = {
            (bracket, turn): super(HyperbandOracle, self)._get_size(bracket, turn)
            for bracket in brackets
            for turn in range(self._get_num_rounds(bracket))
        }
        return full if self._most_trials is None else bounded_sizes(full, self._most_trials)

    def _get_num_brackets(self) -> int:
        return 1 + max(bracket for bracket, _ in self._sizes)

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        return self._sizes[bracket_num, round_num]

    def populate_space(self, trial_id: str) -> Values:
        """The values of the next trial; keras-tuner's hook."""
        response: Values = kt.oracles.HyperbandOracle.populate_space(self, trial_id)
        return response

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> Values:
        self._next = self.first[len(bracket["rounds"][0]) :]
        response: Values = super()._random_trial(trial_id, bracket)
        return response

    def _random_values(self) -> Values | None:
        if self._next:
            return dict(self._next[0])
        values: Values | None = super()._random_values()
        return values


def bounded_sizes(full: Mapping[tuple[int, int], int], most: int) -> dict[tuple[int, int], int]:
    """Makes Hyperband's rounds smaller, all in the same proportion.

    Args:
        full: Trials by bracket and round; bracket n has n + 1 rounds.
        most: How many trials all rounds may have together, at least 1.

    Returns:
        The new sizes, at least 1 each, which together are ``most`` or ``full``; without the highest brackets where
        ``most`` is too small for them.

    Example:
        >>> bounded_sizes({(1, 0): 6, (1, 1): 2, (0, 0): 4}, 6)
        {(1, 0): 3, (1, 1): 1, (0, 0): 2}
        >>> bounded_sizes({(1, 0): 6, (1, 1): 2, (0, 0): 4}, 2)
        {(0, 0): 2}
    """
    kept = [key for key in full if sum(other <= key[0] for other, _ in full) <= most]
    sizes = dict.fromkeys(kept, 1)
    while sum(sizes.values()) < min(most, sum(full[key] for key in kept)):
        sizes[min(kept, key=lambda key: sizes[key] / full[key])] += 1
    return sizes


class GridOracle(KnownFirst, kt.oracles.GridSearchOracle):
    """Grid search, with the known trials in front of the grid: they need not lie on it."""

    _ordered_ids: Any
    _populate_next: list[str]

    def populate_space(self, trial_id: str) -> Values:
        """The values of the next trial; keras-tuner's hook."""
        started = self.start_order
        if len(started) < len(self.first):
            return super().populate_space(trial_id)
        self.start_order = started[len(self.first) :]  # the grid begins where nothing has started
        try:
            response: Values = kt.oracles.GridSearchOracle.populate_space(self, trial_id)
        finally:
            self.start_order = started
        return response

    @kt.synchronized
    def end_trial(self, trial: Any) -> None:
        """Notes how a trial ended; keras-tuner's hook."""
        super().end_trial(trial)
        self._populate_next = self._on_grid(self._populate_next)

    def get_state(self) -> Values:
        """How far the search is, to be saved; keras-tuner's hook, which leaves out how far the grid is."""
        order, trial_id = [], next(iter(self._ordered_ids._memory), None)
        while trial_id is not None:
            order.append(trial_id)
            trial_id = self._ordered_ids.next(trial_id)
        return {**super().get_state(), "ordered_ids": order, "populate_next": self._populate_next}

    def set_state(self, state: Values) -> None:
        """Takes up what was saved; keras-tuner's hook."""
        super().set_state(state)
        for trial_id in state["ordered_ids"]:
            self._ordered_ids.insert(trial_id)
        # It is saved before the trial that has just ended is noted here; one that is noted twice does no harm.
        self._populate_next = self._on_grid([*state["populate_next"], *self.end_order[-1:]])

    def _on_grid(self, trial_ids: Sequence[str]) -> list[str]:
        known = self.start_order[: len(self.first)]
        return [trial_id for trial_id in trial_ids if trial_id not in known]


ORACLES: dict[str, type[KnownFirst]] = {
    "hyperband": HyperbandOracle,
    "bayesian": BayesianOracle,
    "random": RandomOracle,
    "grid": GridOracle,
}
"""The oracles by the names of their tuners."""
