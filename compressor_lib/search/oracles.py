"""keras-tuner's oracles, extended to begin with hyperparameters that are known to be good.

A search that is repeated on new data need not rediscover the previous best hyperparameters: they are its first trial.
The next known trial is determined from the existing trials, so an interrupted search resumes consistently.

These classes use private names of keras-tuner: ``_random_state`` (Bayesian), ``_get_num_brackets``,
``_get_num_rounds``, ``_get_size``, ``_random_trial`` and ``_random_values`` (Hyperband), ``_populate_next``, and
``_ordered_ids`` with its ``_memory`` (grid): see :mod:`compressor_lib.search.keras_tuner_hooks`.
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
from compressor_lib.search.place import plain_name, without_places

HyperparameterValues = dict[str, Any]
"""Hyperparameters by name."""


def values_in(space: kt.HyperParameters, known: Mapping[str, Any]) -> HyperparameterValues:
    """Returns known hyperparameters restricted to a search space, with the space's defaults for missing ones.

    Args:
        space: The search space.
        known: Values by name. Names that the space does not have are ignored. A name with another place stands for the
            same name in this space, because a value of another network or budget may be possible here too.

    Raises:
        CompressorError: If a value is not in the space.

    Example:
        >>> space = kt.HyperParameters()
        >>> space.Choice("units", [0, 64])
        0
        >>> values_in(space, {"units": 64, "momentum": 0.9})
        {'units': 64}
    """
    taken, plain = kt.HyperParameters(), without_places(known)
    for hyperparameter in space.space:
        taken.merge([hyperparameter])
        if taken.is_active(hyperparameter):
            name = hyperparameter.name
            value = known.get(name, plain.get(plain_name(name), hyperparameter.default))
            if not _allows(hyperparameter, value):
                raise CompressorError(f"{hyperparameter.name} {value!r} is not in the search space.")
            taken.values[hyperparameter.name] = value
    return dict(taken.values)


def _allows(hyperparameter: hp_module.HyperParameter, value: Any) -> bool:
    if isinstance(hyperparameter, hp_module.Int | hp_module.Float) and hyperparameter.step is None:
        is_number = isinstance(value, int | float)
        return is_number and hyperparameter.min_value <= value <= hyperparameter.max_value
    return value in hyperparameter.values


class KnownFirst(DurableOracle):
    """Mixin for an oracle that tries known hyperparameters first.

    Attributes:
        first: Values of the first trials, from :func:`values_in`. Set them before the first trial. They are saved with
            the oracle's state.
    """

    first: Sequence[HyperparameterValues] = ()
    max_trials: int | None
    start_order: list[str]

    @property
    def planned_trials(self) -> int | None:
        """Returns the maximum number of trials; None for any number."""
        return self.max_trials

    def note_end(self, trial_id: str) -> None:
        """Notes that a trial has ended, for an algorithm that proposes a trial after each."""

    def get_state(self) -> dict[str, Any]:
        """Returns the state to be saved. Called by keras-tuner."""
        return {**super().get_state(), "first": list(self.first)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a saved state. Called by keras-tuner."""
        self.first = state.get("first", ())
        super().set_state(state)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial. Called by keras-tuner."""
        started = len(self.start_order)
        if started < len(self.first):
            return {"status": "RUNNING", "values": dict(self.first[started])}
        response: dict[str, Any] = super().populate_space(trial_id)
        return response


class RandomOracle(KnownFirst, kt.oracles.RandomSearchOracle):
    """Random search."""


class BayesianOracle(KnownFirst, kt.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial. Called by keras-tuner."""
        # keras-tuner begins with three random trials for each hyperparameter of the space. Most of a space over several
        # backbones is never active together, so only as many are counted as a trial has.
        self.num_initial_points = 3 * max([1, *(len(trial.hyperparameters.values) for trial in self.trials.values())])
        # keras-tuner does not save the state of its random generator.
        self._random_state = np.random.RandomState([self.seed, len(self.start_order)])
        return super().populate_space(trial_id)


class HyperbandOracle(KnownFirst, kt.oracles.HyperbandOracle):
    """Hyperband. Each bracket begins with the known trials.

    The first round of a bracket trains for a few epochs, a different number in each bracket, and only the best trials
    continue. The best hyperparameters for many epochs need not be the best for few, but the last bracket trains for all
    epochs.

    keras-tuner's oracle derives the number of trials from ``max_epochs``. Here ``max_trials`` limits it: the rounds of
    all brackets shrink in proportion, so that each bracket still ends with trials that train for ``max_epochs``. If a
    round would be empty, the brackets with the most rounds are left out.

    Args:
        max_trials: Maximum number of trials in all brackets together; None for keras-tuner's own number.
        **options: Options of keras-tuner's oracle.
    """

    max_epochs: int
    _next: Sequence[HyperparameterValues] = ()  # known trials that the current bracket has not had yet

    def __init__(self, *, max_trials: int | None = None, **options: Any) -> None:
        self._most_trials = max_trials  # the base class sets max_trials to None, then requests the first bracket
        super().__init__(**options)
        self.max_trials = max_trials

    @property
    def planned_trials(self) -> int:
        """Returns the maximum number of trials."""
        return sum(self._sizes.values())

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a saved state. Called by keras-tuner."""
        super().set_state(state)
        self.__dict__.pop("_sizes", None)  # the number of epochs may have changed

    @cached_property
    def _sizes(self) -> dict[tuple[int, int], int]:
        """The number of trials by bracket and round."""
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

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial. Called by keras-tuner."""
        response: dict[str, Any] = kt.oracles.HyperbandOracle.populate_space(self, trial_id)
        return response

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        self._next = self.first[len(bracket["rounds"][0]) :]
        response: dict[str, Any] = super()._random_trial(trial_id, bracket)
        return response

    def _random_values(self) -> HyperparameterValues | None:
        if self._next:
            return dict(self._next[0])
        values: HyperparameterValues | None = super()._random_values()
        return values


def bounded_sizes(full: Mapping[tuple[int, int], int], most: int) -> dict[tuple[int, int], int]:
    """Reduces the sizes of Hyperband's rounds in proportion.

    Args:
        full: Number of trials by bracket and round; bracket n has n + 1 rounds.
        most: Maximum number of trials in all rounds together, at least 1.

    Returns:
        The new sizes, at least 1 each, with a total of ``most`` (or ``full``, if that is smaller). If ``most`` is too
        small, the highest brackets are left out.

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
    """Grid search that tries the known trials before the grid, because they need not be on the grid."""

    _ordered_ids: Any
    _populate_next: list[str]

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial. Called by keras-tuner."""
        started = self.start_order
        if len(started) < len(self.first):
            return super().populate_space(trial_id)
        # keras-tuner starts the grid when no trial has started, so the known trials are hidden from it.
        self.start_order = started[len(self.first) :]
        try:
            response: dict[str, Any] = kt.oracles.GridSearchOracle.populate_space(self, trial_id)
        finally:
            self.start_order = started
        return response

    @kt.synchronized
    def end_trial(self, trial: Any) -> None:
        """Records the end of a trial. Called by keras-tuner."""
        super().end_trial(trial)
        self._populate_next = self._on_grid(self._populate_next)

    def note_end(self, trial_id: str) -> None:
        """Notes that a trial has ended, so that the grid continues after it."""
        self._populate_next = self._on_grid([*self._populate_next, trial_id])

    def get_state(self) -> dict[str, Any]:
        """Returns the state to be saved. keras-tuner's own state lacks the position on the grid."""
        order, trial_id = [], next(iter(self._ordered_ids._memory), None)
        while trial_id is not None:
            order.append(trial_id)
            trial_id = self._ordered_ids.next(trial_id)
        return {**super().get_state(), "ordered_ids": order, "populate_next": self._populate_next}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a saved state. Called by keras-tuner."""
        super().set_state(state)
        for trial_id in state["ordered_ids"]:
            self._ordered_ids.insert(trial_id)
        # The state is saved before the trial that has just ended is recorded here. Recording it twice does no harm.
        self._populate_next = self._on_grid([*state["populate_next"], *self.end_order[-1:]])

    def _on_grid(self, trial_ids: Sequence[str]) -> list[str]:
        """Returns the trials other than the known ones."""
        known = self.start_order[: len(self.first)]
        return [trial_id for trial_id in trial_ids if trial_id not in known]


ORACLES: dict[str, type[KnownFirst]] = {
    "hyperband": HyperbandOracle,
    "bayesian": BayesianOracle,
    "random": RandomOracle,
    "grid": GridOracle,
}
"""The oracles by the names of their tuners."""
