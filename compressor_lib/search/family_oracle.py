"""An oracle for a family of networks: each budget has its own share of the trials, chosen by an oracle of its own.

A larger budget allows more accurate networks. If all trials competed by their scores, Hyperband would promote, and
Bayesian optimisation propose, trials of the largest budget alone. Here an oracle only knows the trials for its budget,
whatever its algorithm, and the budgets take turns. The search, its folder and its workers see a single oracle.

Uses ``_display``, besides the names in :mod:`compressor_lib.search.oracles`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras_tuner as kt

from compressor_lib.search.durable import DurableOracle
from compressor_lib.search.options import shared_out
from compressor_lib.search.oracles import KnownFirst
from compressor_lib.search.place import BUDGET

_FAMILY = "family"


class FamilyOracle(DurableOracle):
    """Shares the trials out among budgets.

    Attributes:
        parts: The oracle of each budget, by the budget's name.
    """

    def __init__(self, budgets: Sequence[str], make: Callable[[int, int], KnownFirst], **options: Any) -> None:
        """Creates the oracles of all budgets.

        Args:
            budgets: Names of the budgets.
            make: Returns an oracle, for a maximum number of trials and a seed.
            **options: Options of keras-tuner's oracle, with ``max_trials`` and ``seed``.

        Raises:
            CompressorError: If there are fewer trials than budgets.
        """
        super().__init__(**options)
        shares = shared_out(self.max_trials, len(budgets))
        self.parts = {
            budget: make(share, self.seed + number)
            for number, (budget, share) in enumerate(zip(budgets, shares, strict=True))
        }

    @property
    def planned_trials(self) -> int | None:
        """Returns the maximum number of trials; None for any number."""
        planned = [part.planned_trials for part in self.parts.values()]
        return None if None in planned else sum(planned)  # type: ignore[arg-type]

    def space_of(self, budget: str) -> kt.HyperParameters:
        """Returns the part of the search space for one budget, in which the budget is fixed."""
        space = kt.HyperParameters()
        space.Fixed(BUDGET, budget)
        for one in self.hyperparameters.space:
            others = [condition for condition in one.conditions if condition.name == BUDGET]
            if one.name != BUDGET and all(budget in condition.values for condition in others):
                space.merge([one])
        return space

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the values of the next trial, for the budget that had the smallest part of its share so far.

        Called by keras-tuner. If its oracle waits for other trials or has finished, the next budget's turn comes.
        """
        self._share_trials()
        is_waiting = False
        for budget, part in sorted(self.parts.items(), key=lambda item: len(item[1].start_order)):
            if part.max_trials and len(part.trials) >= part.max_trials:
                continue
            response = part.populate_space(trial_id)
            if response["status"] == "RUNNING":
                return {**response, "values": {BUDGET: budget, **response["values"]}}
            is_waiting |= response["status"] == "IDLE"
        return {"status": "IDLE" if is_waiting or self.ongoing_trials else "STOPPED"}

    @kt.synchronized
    def end_trial(self, trial: Any) -> None:
        """Records the end of a trial. Called by keras-tuner."""
        super().end_trial(trial)
        self._share_trials()
        self.parts[trial.hyperparameters.values[BUDGET]].note_end(trial.trial_id)

    def get_state(self) -> dict[str, Any]:
        """Returns the state to be saved. Called by keras-tuner."""
        self._share_trials()
        return {**super().get_state(), _FAMILY: {budget: part.get_state() for budget, part in self.parts.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a saved state. Called by keras-tuner."""
        super().set_state(state)
        self._share_trials()
        for budget, part in self.parts.items():
            part.set_state(state[_FAMILY][budget])

    def _share_trials(self) -> None:
        """Shows each oracle the trials for its budget, and its part of the search space."""
        budgets = {trial_id: trial.hyperparameters.values[BUDGET] for trial_id, trial in self.trials.items()}
        for budget, part in self.parts.items():
            own = [trial_id for trial_id in self.trials if budgets[trial_id] == budget]
            part.trials = {trial_id: self.trials[trial_id] for trial_id in own}
            part.start_order = [trial_id for trial_id in self.start_order if trial_id in part.trials]
            part.end_order = [trial_id for trial_id in self.end_order if trial_id in part.trials]
            part.ongoing_trials = {
                worker: trial for worker, trial in self.ongoing_trials.items() if trial.trial_id in part.trials
            }
            part.hyperparameters = self.space_of(budget)


def known_for(budget: str, known: Mapping[str, Any], budgets: Sequence[str]) -> dict[str, Any] | None:
    """Returns known good hyperparameters without their budget.

    Args:
        budget: Name of a budget of this search.
        known: The hyperparameters, of any search.
        budgets: All budgets of this search.

    Returns:
        The hyperparameters; None if they are for another budget of this search.
    """
    if known.get(BUDGET, budget) != budget and known[BUDGET] in budgets:
        return None
    return {name: value for name, value in known.items() if name != BUDGET}
