"""How a search runs one trial: what it costs beyond its training is milliseconds.

keras-tuner rebuilds the whole network for each trial, clears Keras' session, collects garbage and writes the whole
network at every better epoch. Of a frozen backbone only what is trained differs between trials, so here trials
share the rest, and a checkpoint holds what was trained.
"""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import numpy.typing as npt

from compressor_lib.errors import CompressorError
from compressor_lib.files import replace_file
from compressor_lib.translators import TRANSLATOR_PREFIX

_CHECKPOINT = "trained.npz"


class SearchStoppedError(kt.errors.FatalError, CompressorError):
    """What no trial is to blame for: the search ends, and the next run tries the same trial again."""


class LightTrials(kt.Tuner):
    """Mixed into a keras-tuner tuner of a :class:`compressor_lib.hypermodels.HyperCompressor`, in front of it.

    Attributes:
        seed: With a trial's id it fixes all that is drawn at random in the trial, so that a search which was cut
            short goes on as it would have gone.
    """

    seed: int = 0

    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        # keras-tuner's hook: whatever is raised here, but a FatalError, is recorded as the trial's failure.
        try:
            super()._run_and_update_trial(trial, *args, **kwargs)
        except (OSError, CompressorError) as error:
            raise SearchStoppedError(f"the search stopped in trial {trial.trial_id}: {error}") from error

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Builds, trains and checkpoints a trial's model; keras-tuner's hook."""
        hp = trial.hyperparameters
        keras.utils.set_random_seed(zlib.crc32(f"{self.seed} {trial.trial_id}".encode()))
        model = self.hypermodel.build_trial(hp)
        if "tuner/epochs" in hp.values:  # Hyperband's
            kwargs |= {"epochs": hp.values["tuner/epochs"], "initial_epoch": hp.values["tuner/initial_epoch"]}
        if "tuner/trial_id" in hp.values:
            self._restore(model, hp.values["tuner/trial_id"])
        best = _BestWeights(self.oracle.objective)
        kwargs["callbacks"] = [*kwargs.get("callbacks", ()), best]
        history = self.hypermodel.fit(hp, model, *args, **kwargs)
        _write(best.weights, self._checkpoint(trial.trial_id))
        return history

    def load_model(self, trial: Any) -> keras.Model:
        """A trial's model, whole and its own, as it was at the trial's best epoch; keras-tuner's hook."""
        model = self.hypermodel.build(trial.hyperparameters)
        self._restore(model, trial.trial_id)
        return model

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id), _CHECKPOINT)

    def _restore(self, model: keras.Model, trial_id: str) -> None:
        path = self._checkpoint(trial_id)
        try:
            with np.load(path, allow_pickle=False) as weights:
                for name, variable in _trained(model).items():
                    variable.assign(weights[name])
        except (OSError, ValueError, KeyError) as error:
            raise CompressorError(
                f"{path}, the checkpoint of trial {trial_id}, cannot be read ({error}): delete the search's folder to "
                "search anew"
            ) from error


class _BestWeights(keras.callbacks.Callback):
    """Keeps what is trained, as it was at the epoch that the objective likes best; a loss of NaN fails the trial."""

    def __init__(self, objective: kt.Objective) -> None:
        super().__init__()
        self.weights: dict[str, npt.NDArray[Any]] = {}
        self._objective = objective
        self._best: float | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise kt.errors.FailedTrialError(f"the loss is {logs['loss']} at epoch {epoch + 1}")
        known = self._objective.has_value(logs)
        value = self._objective.get_value(logs) if known else None
        if value is None or self._best is None or self._objective.better_than(value, self._best):
            self._best = value
            self.weights = {name: variable.numpy() for name, variable in _trained(self.model).items()}


def _trained(model: keras.Model) -> dict[str, keras.Variable]:
    """Variables of the layers that are not frozen, and of the translator, by layer and position."""
    return {
        f"{layer.name}/{position}": variable
        for layer in model.layers
        if layer.trainable or layer.name.startswith(TRANSLATOR_PREFIX)
        for position, variable in enumerate(layer.weights)
    }


def _write(weights: dict[str, npt.NDArray[Any]], path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, **weights)
    replace_file(path, content.getvalue())
