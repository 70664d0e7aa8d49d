"""How a search runs one trial: what it costs beyond its training is milliseconds.

keras-tuner rebuilds the whole network for each trial, clears Keras' session, collects garbage and writes the whole
network at every better epoch. Of a frozen backbone only what is trained differs between trials, so here trials
share the rest, and a checkpoint holds what was trained.
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
    """What no trial is to blame for: the search ends, and the next run tries the same trial again."""


class LightTrials(HookedTuner):
    """Mixed into a keras-tuner tuner of a :class:`compressor_lib.search.hypermodels.HyperCompressor`, in front of it.

    Attributes:
        seed: With a trial's id it fixes all that is drawn at random in the trial, so that a search which was cut
            short goes on as it would have gone.
    """

    seed: int = 0
    _fit_arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Searches; keras-tuner's."""
        self._fit_arguments = args, kwargs
        super().search(*args, **kwargs)

    def attempt(self, trial: kt.engine.trial.Trial, run: Callable[[], None]) -> None:
        """Runs a trial; a full disk and wrong input end the search, for no trial is to blame for them."""
        try:
            run()
        except (OSError, CompressorError) as error:
            raise SearchStoppedError(f"the search stopped in trial {trial.trial_id}: {error}") from error

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Builds, trains and checkpoints a trial's model; keras-tuner's hook."""
        hp = trial.hyperparameters
        begun = self._weights(hp.values["tuner/trial_id"]) if "tuner/trial_id" in hp.values else None
        keras.utils.set_random_seed(zlib.crc32(f"{self.seed} {trial.trial_id}".encode()))
        model = self.hypermodel.build_trial(hp)
        if "tuner/epochs" in hp.values:  # Hyperband's
            kwargs |= {"epochs": hp.values["tuner/epochs"], "initial_epoch": hp.values["tuner/initial_epoch"]}
        if begun is not None:
            _assign(model, begun)
        best = _BestWeights(self.oracle.objective)
        kwargs["callbacks"] = [*kwargs.get("callbacks", ()), best]
        history = self.hypermodel.fit(hp, model, *args, **kwargs)
        write_arrays(best.weights, self._checkpoint(trial.trial_id))
        return history

    def load_model(self, trial: Any) -> keras.Model:
        """A trial's model, whole and its own, as it was at the trial's best epoch; keras-tuner's hook."""
        weights = self._weights(trial.trial_id)
        model = self.hypermodel.build(trial.hyperparameters)
        _assign(model, weights)
        return model

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id), _CHECKPOINT)

    def _weights(self, trial_id: str) -> dict[str, npt.NDArray[Any]]:
        """What a trial trained; it is trained again, to the same, where its checkpoint is damaged or gone."""
        path = self._checkpoint(trial_id)
        weights = read_arrays(path)
        if weights is None and self._fit_arguments is not None:
            logger.warning("%s, the checkpoint of trial %s, is damaged or gone: the trial is run again", path, trial_id)
            args, kwargs = self._fit_arguments
            self.run_trial(self.oracle.get_trial(trial_id), *args, **kwargs)
            weights = read_arrays(path)
        if weights is None:
            raise CompressorError(
                f"{path}, the checkpoint of trial {trial_id}, is damaged or gone: delete the search's folder to search "
                "anew"
            )
        return weights


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


def _assign(model: keras.Model, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, variable in _trained(model).items():
        variable.assign(weights[name])
