"""keras-tuner's oracle, made to survive that its process is killed at any moment.

keras-tuner writes a trial's file and then the oracle's, each in place: what is killed in between leaves half a file, or
a trial that the oracle does not know of, or one that has ended and would be run again.

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
    """Mixed into an oracle, in front of it: writes whole files, and takes up what was begun."""

    trials: dict[str, Any]

    def save(self) -> None:
        """Writes the oracle's state; keras-tuner's hook."""
        replace_file(self._get_oracle_fname(), json.dumps(self.get_state()))

    def _save_trial(self, trial: Any) -> None:
        replace_file(Path(self._get_trial_dir(trial.trial_id), "trial.json"), json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Reads the state of a search that was cut short; keras-tuner's hook."""
        super().reload()
        # The oracle's file comes last: a trial that it does not name is proposed again, and is the same. The trials'
        # files were read in any order, which is that of a sum in Bayesian optimisation.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        for trial_id in self._retry_queue[:]:
            trial = self.trials[trial_id]
            if trial.status in _ENDED:  # it had ended, and the oracle's file does not say so yet
                self._retry_queue.remove(trial_id)
                self.verbose = 0
                self.end_trial(trial)
            else:
                trial.metrics = type(trial.metrics)()  # it is tried anew: what it came to may be noted already
