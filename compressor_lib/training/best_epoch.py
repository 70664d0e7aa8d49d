"""What a training keeps after each epoch: the history, the best weights, and a file from which it resumes."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import keras
import numpy as np

from compressor_lib.errors import CompressorError
from compressor_lib.support.progress import Progress, log_progress
from compressor_lib.training.checkpoint import TrainingCheckpoint
from compressor_lib.training.options import TrainingOptions
from compressor_lib.training.phases import Phase

logger = logging.getLogger(__name__)

_LEAST_PATIENCE = 5
_WORST = (-math.inf, -math.inf)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the history and the best weights over all phases, ends a phase that stops improving, and logs.

    Where the learning rate changes, a phase that stops improving ends after the rate has fallen.
    """

    total: int
    """Number of epochs in all phases together, as planned so far."""

    _phase: Phase
    _patience: int

    def __init__(self, student: keras.Model, options: TrainingOptions, steps: int) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.weights: list[np.ndarray] = []
        self.epoch = 0
        self.phase, self.began, self.waited = "", 0, 0
        self.best = self.phase_best = _WORST
        self._student = student
        self._options = options
        self._steps = steps
        self.falls = 0  # the step at which the rate began to fall early

    @property
    def done(self) -> int:
        """Number of finished epochs."""
        return len(self.history.get("loss", ()))

    @property
    def ends(self) -> int:
        """Number of epochs after which the phase ends."""
        if self._phase.rate:
            return self.began + self._phase.rate.ends // self._steps
        return self.done if self.waited >= self._patience else self.began + self._phase.epochs

    def begin(self, phase: Phase) -> None:
        """Starts to count the epochs of a phase."""
        self.phase, self.began, self.falls = phase.name, self.done, 0
        self.phase_best, self.waited = _WORST, 0

    def enter(self, phase: Phase) -> None:
        """Goes on with a phase, from its beginning or after an interruption."""
        self._phase = phase
        # The longer the training, the longer accuracy rises in jumps.
        self._patience = self._options.patience or max(_LEAST_PATIENCE, phase.epochs // 5)
        if phase.rate and self.falls:
            phase.rate.fall_from(self.falls)
        self.total = self.ends + phase.later_epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Announces an epoch. Called by Keras."""
        del logs
        self._epoch = epoch
        self.model.epoch.assign(epoch)
        log_progress(logger, Progress("epoch", epoch, self.total))

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the learning rate of a step. Called by Keras."""
        del logs
        if self._phase.rate:
            step = (self._epoch - self.began) * self._steps + batch
            self.model.optimizer.learning_rate.assign(self._phase.rate.at(step))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Logs the progress within an epoch. Called by Keras."""
        del logs
        log_progress(logger, Progress("epoch", self._epoch + (batch + 1) / (self._steps + 1), self.total))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps the weights if they are the best, and decides whether the phase goes on. Called by Keras.

        Raises:
            CompressorError: If the loss is not finite.
        """
        logs = logs or {}
        where = f"epoch {epoch + 1}/{self.total} ({self.phase})"
        if not (math.isfinite(logs["loss"]) and math.isfinite(logs["val_loss"])):
            rate = "head_learning_rate" if self.phase == "head" else "learning_rate"
            raise CompressorError(
                f"the loss is no longer finite in {where}: lower {rate}, now "
                f"{getattr(self._options, rate)}, or check the model's weights."
            )
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        detail = f"loss {logs['loss']:.3f}, val_accuracy {logs['val_accuracy']:.3f} ({self.phase})"
        log_progress(logger, Progress("epoch", epoch + 1, self.total, detail))
        score = (logs["val_accuracy"], -logs["val_loss"])
        if score > self.best:
            self.best, self.epoch = score, epoch + 1
            self.weights = self._student.get_weights()
        # Patience is per phase: unfreezing may set a network back before it passes the best epoch of the head.
        if score > self.phase_best:
            self.phase_best, self.waited = score, 0
        else:
            self.waited += 1
        if self._phase.rate and self.waited == self._patience and not self.falls:
            self.falls = (self.done - self.began) * self._steps
            self._phase.rate.fall_from(self.falls)
            self.total = self.ends
        self.model.stop_training = self.done >= self.ends


_REMEMBERED = ("phase", "began", "waited", "falls", "epoch", "best", "phase_best", "history")


class Checkpoints(keras.callbacks.Callback):
    """Writes the state of the training to a file after each epoch."""

    def __init__(self, path: Path, best: BestEpoch) -> None:
        super().__init__()
        self._path, self._best = path, best
        self._saved = TrainingCheckpoint.read(path)
        if self._saved:
            for name in _REMEMBERED:
                value = self._saved.plain[name]
                setattr(best, name, tuple(value) if isinstance(value, list) else value)
            best.weights = list(self._saved.best)
            logger.info("resuming after epoch %d", best.done)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Restores what training changes. Called by Keras."""
        del logs
        if self._saved:
            state, trained = _state_of(self.model), self._saved.trained
            if [tuple(variable.shape) for variable in state] != [value.shape for value in trained]:
                raise CompressorError(
                    f"checkpoint '{self._path}' belongs to another network: delete it, or give each "
                    "training run its own file."
                )
            for variable, value in zip(state, trained, strict=True):
                variable.assign(value)
        self._saved = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the file. Called by Keras."""
        del epoch, logs
        trained = [variable.numpy() for variable in _state_of(self.model)]
        plain = {name: getattr(self._best, name) for name in _REMEMBERED}
        TrainingCheckpoint(trained, self._best.weights, plain).write(self._path)


def _state_of(trainee: keras.Model) -> list[keras.Variable]:
    """Returns everything that training changes: weights, optimizer moments and states of random generators."""
    return [*trainee.variables, *trainee.optimizer.variables]
