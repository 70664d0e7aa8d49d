"""Runs a single trial of a search with an overhead of milliseconds.

keras-tuner rebuilds the whole network for each trial, clears Keras' session, collects garbage, and writes the whole
network at every better epoch. With a frozen backbone, only the trained layers differ between trials. So here trials
share the frozen layers, and a checkpoint only holds the trained layers.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy.typing as npt

from compressor_lib.errors import CompressorError
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX
from compressor_lib.search.keras_tuner_hooks import HookedTuner
from compressor_lib.support.atomic_write import read_arrays, write_arrays

logger = logging.getLogger(__name__)

_CHECKPOINT = "trained.npz"


class SearchStoppedError(kt.errors.FatalError, CompressorError):
    """An error that ends the search rather than one trial, such as a full disk. The next run repeats the trial."""


class LightTrials(HookedTuner):
    """Mixin for a keras-tuner tuner of a :class:`compressor_lib.search.space.SearchSpace`.

    Attributes:
        seed: Together with a trial's ID, it determines all random draws in the trial, so that an interrupted search
            continues consistently.
    """

    seed: int = 0
    _fit_arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Runs the search. Called as in keras-tuner."""
        self._fit_arguments = args, kwargs
        super().search(*args, **kwargs)

    def attempt(self, trial: kt.engine.trial.Trial, run: Callable[[], None]) -> None:
        """Runs a trial. A full disk or wrong input ends the search, because no trial caused it."""
        try:
            run()
        except (OSError, CompressorError) as error:
            raise SearchStoppedError(f"the search stopped in trial {trial.trial_id}: {error}") from error

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Builds, trains and checkpoints a trial's model. Called by keras-tuner."""
        hp = trial.hyperparameters
        begun = self._weights(hp.values["tuner/trial_id"]) if "tuner/trial_id" in hp.values else None
        keras.utils.set_random_seed(zlib.crc32(f"{self.seed} {trial.trial_id}".encode()))
        model = self.hypermodel.build_trial(hp)
        if "tuner/epochs" in hp.values:  # set by Hyperband
            kwargs |= {"epochs": hp.values["tuner/epochs"], "initial_epoch": hp.values["tuner/initial_epoch"]}
        if begun is not None:
            _assign(model, begun)
        best = _BestWeights(self.oracle.objective)
        kwargs["callbacks"] = [*kwargs.get("callbacks", ()), best]
        history = self.hypermodel.fit(hp, model, *args, **kwargs)
        write_arrays(best.weights, self._checkpoint(trial.trial_id))
        return history

    def load_model(self, trial: Any) -> keras.Model:
        """Returns a separate copy of a trial's model at the trial's best epoch. Called by keras-tuner."""
        weights = self._weights(trial.trial_id)
        model = self.hypermodel.build(trial.hyperparameters)
        _assign(model, weights)
        return model

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id), _CHECKPOINT)

    def _weights(self, trial_id: str) -> dict[str, npt.NDArray[Any]]:
        """Returns a trial's trained weights. If the checkpoint is damaged or missing, the trial is run again."""
        path = self._checkpoint(trial_id)
        weights = read_arrays(path)
        if weights is None and self._fit_arguments is not None:
            logger.warning("%s, the checkpoint of trial %s, is damaged or missing: repeating the trial", path, trial_id)
            args, kwargs = self._fit_arguments
            self.run_trial(self.oracle.get_trial(trial_id), *args, **kwargs)
            weights = read_arrays(path)
        if weights is None:
            raise CompressorError(
                f"{path}, the checkpoint of trial {trial_id}, is damaged or missing: delete the search's folder to "
                "search again."
            )
        return weights


class _BestWeights(keras.callbacks.Callback):
    """Keeps the trained weights of the epoch with the best objective. A loss of NaN fails the trial."""

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
    """Returns the variables of the layers that are not frozen, and of the translator, by layer and position."""
    return {
        f"{layer.name}/{position}": variable
        for layer in model.layers
        if layer.trainable or layer.name.startswith(TRANSLATOR_PREFIX)
        for position, variable in enumerate(layer.weights)
    }


def _assign(model: keras.Model, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, variable in _trained(model).items():
        variable.assign(weights[name])
