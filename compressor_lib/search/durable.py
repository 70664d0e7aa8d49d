"""An oracle of keras-tuner whose state survives if its process is killed at any moment.

keras-tuner writes a trial's file and then the oracle's file, each in place. A process killed in between leaves half a
file, a trial that the oracle does not know, or a finished trial that would be run again.

Overrides ``_save_trial``, and uses ``_get_oracle_fname``, ``_get_trial_dir`` and ``_retry_queue``: see
:mod:`compressor_lib.search.keras_tuner_hooks`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_tuner as kt

from compressor_lib.support.atomic_write import replace_file

_ENDED = ("COMPLETED", "FAILED")


class DurableOracle(kt.Oracle):
    """Mixin for an oracle that writes files atomically and recovers from an interrupted search."""

    trials: dict[str, Any]

    def save(self) -> None:
        """Writes the oracle's state. Called by keras-tuner."""
        replace_file(self._get_oracle_fname(), json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        replace_file(Path(self._get_trial_dir(trial.trial_id), "trial.json"), json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Reads the state of an interrupted search. Called by keras-tuner."""
        super().reload()
        # The oracle's file is written last. A trial that it does not list is proposed again with the same values. The
        # files of trials were read in arbitrary order, which determines the order of a sum in Bayesian optimisation.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        for trial_id in self._retry_queue[:]:
            trial = self.trials[trial_id]
            if trial.status in _ENDED:  # it had ended, but the oracle's file was not updated yet
                self._retry_queue.remove(trial_id)
                self.verbose = 0
                self.end_trial(trial)
            else:
                trial.metrics = type(trial.metrics)()  # it is run again, but may already have results
