"""Trains a classifier on a pretrained backbone: the head first, then the whole network."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.layer_names import TRANSLATOR_PREFIX
from compressor_lib.support.progress import Progress, tell
from compressor_lib.training.augmentation import Augment
from compressor_lib.training.checkpoint import TrainingCheckpoint
from compressor_lib.training.options import Distillation, TrainingOptions

logger = logging.getLogger(__name__)

WARMUP = 0.2
"""Most that the rise of the learning rate takes of the unfrozen steps."""


def train(
    model: keras.Model,
    train_dataset: tf.data.Dataset,
    eval_dataset: tf.data.Dataset,
    options: TrainingOptions,
    *,
    teacher: keras.Model | None = None,
    class_weights: Sequence[float] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: str | Path | None = None,
) -> dict[str, list[float]]:
    """Trains in place and leaves the best weights of all epochs in the model.

    The first phase opens only the new layers, a translator's and the head's, so that their first, large
    gradients do not spoil the pretrained ones; the second opens the whole network. Best is the
    highest validation accuracy, then the lowest validation loss, in either phase. Afterwards every
    layer is trainable and the model is compiled for `evaluate` and `save`.

    On several devices a copy is trained, with one set of weights on each, so that the model stays on one. A step
    is the same as on a single device: the loss is averaged over the whole batch, and batch normalisation that
    learns looks at all of it. Only what is drawn at random (augmentation, dropout) differs: each device draws the
    same numbers for its share.

    Args:
        model: flat functional classifier, from `float32` images `[N, S, S, 3]`, 0..255, to
            softmax probabilities `[N, C]`.
        train_dataset: batches of (`uint8` images `[N, S, S, 3]`, integer labels `[N]`), shuffled
            as wished. Augmentation is done here.
        eval_dataset: such batches, not varied.
        options: how to train; `batch_size` is not used here.
        teacher: classifier with the model's input and output shapes, needed if
            `options.distillation` has a weight. It is not changed; one whose batch norms are folded (see
            :func:`compressor_lib.networks.batch_norm_folding.folded`) answers alike, and faster.
        class_weights: how much a training image of each class counts in the loss, by the class's index, the
            distance to the teacher included; None for 1 each. See
            :func:`compressor_lib.training.class_weights.balanced_weights`. Which epoch is best is told without them.
        callbacks: further Keras callbacks, given to both phases. The model they see has the
            metrics and the optimizer; the network that learns is its `student`.
        checkpoint: file that keeps the state of the training after each epoch, written at once; its folder exists.
            If it is there, the training resumes behind its last epoch, and ends as if it had not been stopped. It
            belongs to one model, data and options: give each training a file of its own. A damaged file is logged,
            and the training starts again.

    Returns:
        `loss`, `accuracy`, `val_loss` and `val_accuracy`, one value an epoch over both phases, and
        `best_epoch`, a single value counted from 1. `loss` is what was minimised, with smoothing
        and distillation; `val_loss` is the plain cross-entropy.

    Raises:
        CompressorError: if a dataset is empty or endless, the teacher is missing or does not fit,
            the model has no feature map for a head to stand on, a class has no weight, the loss is not finite, or
            the checkpoint is of another network.
    """
    steps = _count_batches(train_dataset, "training")
    _count_batches(eval_dataset, "validation")
    distillation = options.distillation if options.distillation else Distillation(weight=0.0)
    if distillation.weight:
        _check_teacher(model, teacher)
    if class_weights is not None:
        _check_class_weights(class_weights, classes=model.output_shape[-1])
    new_layers = _new_layers(model) if options.head_epochs else set()

    with _on_devices(options.strategy, model, teacher) as (student, teacher), _batch_norm_for(student, steps):
        trainee = _Trainee(student, teacher, options, distillation, class_weights)
        best = _Best(student, options, steps)
        checkpoints = [_Checkpoints(Path(checkpoint), best)] if checkpoint else []
        for _ in range(best.done):
            next(iter(train_dataset))  # a shuffled dataset orders each pass anew
        resumed = best.phase
        for phase in _phases(options, steps, new_layers):
            if not phase.epochs or resumed not in ("", phase.name):
                continue
            for layer in student.layers:
                layer.trainable = phase.opens(layer)
            phase.optimizer.build(student.trainable_variables)
            trainee.compile(optimizer=phase.optimizer)
            if not resumed:
                best.begin(phase.name)
            resumed = ""
            best.total = best.began + phase.epochs + phase.to_come
            trainee.fit(
                train_dataset,
                validation_data=eval_dataset,
                initial_epoch=best.done,
                epochs=best.done if best.stands_still else best.began + phase.epochs,
                callbacks=[best, *checkpoints, *callbacks],
                verbose=0,
            )

    model.set_weights(best.weights)
    # A fresh optimizer: the last one's moments would triple the saved file.
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return {**best.history, "best_epoch": [float(best.epoch)]}


@dataclass(frozen=True)
class _Phase:
    name: str
    epochs: int
    to_come: int
    opens: Callable[[keras.layers.Layer], bool]
    optimizer: keras.optimizers.Optimizer


def _phases(options: TrainingOptions, steps: int, new_layers: set[str]) -> Iterator[_Phase]:
    yield _Phase(
        "head",
        options.head_epochs,
        options.epochs,
        lambda layer: layer.name in new_layers,
        keras.optimizers.Adam(options.head_learning_rate),
    )
    frozen = options.batch_norm == "frozen"
    # Adam's first steps are as long as its rate, whatever the gradient: at full rate they would spoil what is trained.
    total = max(1, options.epochs * steps)
    warmup = min(steps, int(WARMUP * total))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=total - warmup, warmup_target=options.learning_rate, warmup_steps=warmup
    )
    yield _Phase(
        "fine-tuning",
        options.epochs,
        0,
        lambda layer: not (frozen and isinstance(layer, keras.layers.BatchNormalization)),
        keras.optimizers.Adam(schedule),
    )


class _Trainee(keras.Model):
    """Fits a student: varies the batch, asks the teacher, takes one step.

    Augmentation and teacher live here, so that the student stays what will be deployed.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None,
        options: TrainingOptions,
        distillation: Distillation,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name="trainee")
        self.student = student
        # In a closure, so that Keras does not count the teacher's weights as ours.
        self._teach = (lambda x: teacher(x, training=False)) if teacher is not None else None
        self._smoothing = options.label_smoothing
        self._distillation = distillation
        self._class_weights = class_weights
        self.augment = Augment(options.augmentation)
        self._mean_loss = keras.metrics.Mean(name="loss")
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self._mean_loss, self._accuracy]

    def train_step(self, data: Any) -> dict[str, Any]:
        images, labels = _unpack(data)
        images = self.augment(images)
        with tf.GradientTape() as tape:
            answers = self.student(images, training=True)
            losses = _label_loss(labels, answers, self._smoothing)
            weight, temperature = self._distillation.weight, self._distillation.temperature
            if weight and self._teach:
                distance = _distance(self._teach(images), answers, temperature)
                losses = (1.0 - weight) * losses + weight * temperature**2 * distance
            if self._class_weights is not None:
                losses *= tf.gather(tf.constant(self._class_weights, losses.dtype), labels)
            losses += sum(self.student.losses)
            # The optimizer adds the devices' gradients up, and a short batch may not reach all devices.
            everywhere = tf.distribute.get_replica_context().all_reduce("SUM", tf.size(losses))
            loss = tf.reduce_sum(losses) / tf.cast(everywhere, losses.dtype)
        variables = self.student.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._note(losses, labels, answers)

    def test_step(self, data: Any) -> dict[str, Any]:
        images, labels = _unpack(data)
        answers = self.student(images, training=False)
        return self._note(_label_loss(labels, answers, 0.0), labels, answers)

    def _note(self, losses: tf.Tensor, labels: tf.Tensor, answers: tf.Tensor) -> dict[str, Any]:
        self._mean_loss.update_state(losses)
        self._accuracy.update_state(labels, answers)
        return {metric.name: metric.result() for metric in self.metrics}


_WORST = (-math.inf, -math.inf)


class _Best(keras.callbacks.Callback):
    """Keeps the history and the best weights over all phases, ends a phase that stands still, and logs."""

    total: int
    """Epochs, at most."""

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

    @property
    def done(self) -> int:
        """Epochs behind us."""
        return len(self.history.get("loss", ()))

    @property
    def stands_still(self) -> bool:
        """Whether patience with the phase is at its end."""
        return self.waited >= self._options.patience

    def begin(self, phase: str) -> None:
        self.phase, self.began = phase, self.done
        self.phase_best, self.waited = _WORST, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        self._epoch = epoch
        tell(logger, Progress("epoch", epoch, self.total))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        tell(logger, Progress("epoch", self._epoch + (batch + 1) / (self._steps + 1), self.total))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        where = f"epoch {epoch + 1}/{self.total} ({self.phase})"
        if not (math.isfinite(logs["loss"]) and math.isfinite(logs["val_loss"])):
            rate = "head_learning_rate" if self.phase == "head" else "learning_rate"
            raise CompressorError(
                f"the loss is not a number any more in {where}: lower {rate}, now "
                f"{getattr(self._options, rate)}, or check the model's weights."
            )
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        detail = f"loss {logs['loss']:.3f}, val_accuracy {logs['val_accuracy']:.3f} ({self.phase})"
        tell(logger, Progress("epoch", epoch + 1, self.total, detail))
        score = (logs["val_accuracy"], -logs["val_loss"])
        if score > self.best:
            self.best, self.epoch = score, epoch + 1
            self.weights = self._student.get_weights()
        # Patience looks at its own phase: unfreezing may set back a network that then passes the
        # head's best.
        if score > self.phase_best:
            self.phase_best, self.waited = score, 0
        else:
            self.waited += 1
            self.model.stop_training = self.stands_still


_REMEMBERED = ("phase", "began", "waited", "epoch", "best", "phase_best", "history")


class _Checkpoints(keras.callbacks.Callback):
    """Keeps the state of a training in a file, after each epoch."""

    def __init__(self, path: Path, best: _Best) -> None:
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
        del logs
        if self._saved:
            state, trained = _state_of(self.model), self._saved.trained
            if [tuple(variable.shape) for variable in state] != [value.shape for value in trained]:
                raise CompressorError(
                    f"checkpoint '{self._path}' is of the training of another network: delete it, or give each "
                    "training a file of its own."
                )
            for variable, value in zip(state, trained, strict=True):
                variable.assign(value)
        self._saved = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del epoch, logs
        trained = [variable.numpy() for variable in _state_of(self.model)]
        plain = {name: getattr(self._best, name) for name in _REMEMBERED}
        TrainingCheckpoint(trained, self._best.weights, plain).write(self._path)


def _state_of(trainee: keras.Model) -> list[keras.Variable]:
    """All that training changes: weights, moments, and the state of random generators."""
    return [*trainee.variables, *trainee.optimizer.variables]


@contextmanager
def _on_devices(
    strategy: str, model: keras.Model, teacher: keras.Model | None
) -> Iterator[tuple[keras.Model, keras.Model | None]]:
    """Yields the networks to train with, in a strategy's scope; opens every layer of the model at the end."""
    try:
        if strategy == "none":
            yield model, teacher
            return
        with _mirrored().scope():
            yield _copy(model), _copy(teacher) if teacher else None
    finally:
        for layer in model.layers:
            layer.trainable = True


@functools.cache  # TensorFlow mixes up the reductions of a second one in the same process
def _mirrored() -> tf.distribute.Strategy:
    """Mirrors variables on all accelerators, or on the logical CPUs where there are none."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    logger.info("training on %d devices: %s", len(devices), ", ".join(device.name for device in devices))
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _copy(model: keras.Model) -> keras.Model:
    """The same network with variables of its own; its batch norms look at all devices' images."""

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=cloned)
    copy.set_weights(model.get_weights())
    return copy


@contextmanager
def _batch_norm_for(model: keras.Model, steps: int) -> Iterator[None]:
    """Fits the moving averages to short training."""
    layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = {layer: layer.momentum for layer in layers}
    # keras.applications use 0.99 or 0.999, made for 100,000s of steps: after a few hundred, the
    # averages still hold what they began with, and inference is far off. A window of a fifth of
    # an epoch has forgotten 99 % of that (1 - e^-5) when the first epoch is evaluated, and still
    # averages many batches.
    for layer in layers:
        layer.momentum = min(layer.momentum, max(0.5, 1.0 - 5.0 / steps))
    try:
        yield
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum


def _new_layers(classifier: keras.Model) -> set[str]:
    """Names of the layers that did not come with the pretrained backbone."""
    graph = LayerGraph.of(classifier)
    end = graph.order[last_feature_map(classifier)]
    return {name for name, position in graph.order.items() if position > end or name.startswith(TRANSLATOR_PREFIX)}


def _unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = data
    return tf.cast(images, tf.float32), tf.reshape(labels, [-1])


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.clip_by_value(probabilities, keras.config.epsilon(), 1.0))


def _label_loss(labels: tf.Tensor, answers: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Cross-entropy `[N]` with the labels, smoothed (Szegedy et al., arXiv:1512.00567)."""
    losses = keras.losses.sparse_categorical_crossentropy(labels, answers)
    if smoothing:
        losses = (1.0 - smoothing) * losses - smoothing * tf.reduce_mean(_log(answers), axis=-1)
    return losses


def _distance(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Kullback-Leibler divergence `[N]` from teacher to student, both at the temperature."""
    # A softmax gives its logits back as log-probabilities, but for a constant that cancels.
    target = tf.nn.log_softmax(_log(teacher) / temperature)
    answer = tf.nn.log_softmax(_log(student) / temperature)
    return tf.reduce_sum(tf.exp(target) * (target - answer), axis=-1)


def _count_batches(dataset: tf.data.Dataset, kind: str) -> int:
    count = int(dataset.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        raise CompressorError(f"the {kind} dataset never ends: leave out repeat().")
    if count == tf.data.UNKNOWN_CARDINALITY:
        count = int(dataset.reduce(np.int64(0), lambda total, *_: total + 1))
    if not count:
        raise CompressorError(f"the {kind} dataset is empty: give it at least one batch.")
    return count


def _check_teacher(model: keras.Model, teacher: keras.Model | None) -> None:
    if teacher is None:
        raise CompressorError("distillation needs a teacher: pass one, or set its weight to 0.")
    for side in ("input_shape", "output_shape"):
        ours, theirs = getattr(model, side), getattr(teacher, side)
        if ours != theirs:
            raise CompressorError(
                f"the teacher's {side} is {theirs}, the model's {ours}: distillation needs a "
                "teacher for the same images and classes."
            )


def _check_class_weights(weights: Sequence[float], classes: int) -> None:
    if len(weights) != classes or not all(0 < weight < math.inf for weight in weights):
        raise CompressorError(
            f"class_weights are {list(weights)}: give one above 0 for each of the {classes} classes, or None."
        )
