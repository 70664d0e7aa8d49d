"""Trains a classifier on a pretrained backbone: the head first, then the whole network."""

from __future__ import annotations

import functools
import logging
import math
import tempfile
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
from compressor_lib.support.progress import Progress, log_progress
from compressor_lib.training.augmentation import Augment, image_keys
from compressor_lib.training.checkpoint import TrainingCheckpoint
from compressor_lib.training.compute_budget import affordable_epochs
from compressor_lib.training.learning_rate import LearningRate
from compressor_lib.training.options import Distillation, ReferenceOptions, TrainingOptions
from compressor_lib.training.teacher import UNSEEN, KeptPredictions, keep_predictions

logger = logging.getLogger(__name__)

_LEAST_PATIENCE = 5


def train(
    model: keras.Model,
    train_dataset: tf.data.Dataset,
    eval_dataset: tf.data.Dataset,
    options: TrainingOptions,
    *,
    teacher: keras.Model | None = None,
    teacher_dataset: tf.data.Dataset | None = None,
    class_weights: Sequence[float] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: str | Path | None = None,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Trains a model in place and leaves it with the best weights of all epochs.

    The first phase trains only the new layers, those of the translator and the head, so that their large first
    gradients do not damage the pretrained layers. The second phase trains the whole network. The best epoch, in either
    phase, has the highest validation accuracy, then the lowest validation loss. After training, every layer is
    trainable and the model is compiled for ``evaluate`` and ``save``.

    A teacher first predicts ``options.distillation.views`` augmented views of each training image. Then the model sees
    the same views in turn, one in each epoch (see :mod:`compressor_lib.training.teacher`). Without a teacher, each
    epoch has a new view.

    On several devices, a copy of the model is trained, and the model itself stays on one device. A step is the same as
    on a single device: the loss is averaged over the whole batch, and trainable batch normalisation uses the statistics
    of the whole batch. Only dropout differs, because each device draws the same numbers for its share.

    Args:
        model: Flat functional classifier, from ``float32`` images ``[N, S, S, 3]``, 0..255, to softmax probabilities
            ``[N, C]``.
        train_dataset: Batches of (``uint8`` images ``[N, S, S, 3]``, integer labels ``[N]``), shuffled as desired, with
            the same images in each pass. Augmentation is applied by this function.
        eval_dataset: Batches of the same kind, which are not augmented.
        options: Training options. ``batch_size`` is not used, because the datasets are already batched.
        teacher: Classifier of the same classes, required if ``options.distillation`` has a weight. It is not changed.
            Folded batch normalisation (see :func:`compressor_lib.networks.batch_norm_folding.folded`) makes it faster.
        teacher_dataset: For a teacher that takes images of another size T: batches of ``((images, teacher_images),
            labels)`` with the images of ``train_dataset``, in any order, and the same images as
            ``uint8 [N, T, T, 3]``.
        class_weights: Weight of each class in the loss, by class index; the distillation term is weighted, too. None
            for a weight of 1 each. See :func:`compressor_lib.training.class_weights.balanced_weights`. The best epoch
            is chosen without class weights.
        callbacks: Additional Keras callbacks for both phases. Their ``model`` is a wrapper with the metrics and the
            optimizer, whose ``student`` is the network that is trained.
        checkpoint: File for the state of the training, written atomically after each epoch. Its folder must exist. If
            the file exists, training resumes after its last epoch, with the same result as an uninterrupted run. The
            teacher's predictions are kept in a folder beside it. A checkpoint belongs to one model, dataset, seed and
            set of options, so give each training run its own file. If the file is damaged, a warning is logged and
            training starts from the beginning.
        seed: Seed of the augmentation.

    Returns:
        ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, with one value per epoch over both phases, and
        ``best_epoch``, a single value counted from 1. ``loss`` is the minimised loss, with smoothing and distillation;
        ``val_loss`` is the plain cross-entropy.

    Raises:
        CompressorError: If a dataset is empty or infinite, the teacher is missing or does not fit, the model has no
            feature map before its head, a class has no weight, the loss is not finite, the images change from pass to
            pass, or the checkpoint belongs to another network.
    """
    steps = _count_batches(train_dataset, "training")
    _count_batches(eval_dataset, "validation")
    distillation = options.distillation if options.distillation else Distillation(weight=0.0)
    if distillation.weight:
        _check_teacher(model, teacher, teacher_dataset)
    else:
        teacher = None
    if class_weights is not None:
        _check_class_weights(class_weights, classes=model.output_shape[-1])
    new_layers = _new_layers(model) if options.head_epochs else set()
    views = distillation.views if options.augmentation.varies else 1
    epochs = _planned_epochs(options, views, model, teacher)

    with (
        _on_devices(options.strategy, model, teacher) as (student, teacher),
        _batch_norm_for(student, steps),
        _folder_beside(checkpoint) as folder,
    ):
        augment = Augment(options.augmentation, seed)
        kept = None
        if teacher is not None:
            views = min(views, options.head_epochs + epochs)
            kept = keep_predictions(teacher, teacher_dataset or train_dataset, augment, views, folder)
        batches = train_dataset.map(functools.partial(_training_batch, kept), num_parallel_calls=tf.data.AUTOTUNE)
        batches = batches.prefetch(tf.data.AUTOTUNE)
        trainee = _Trainee(student, augment, kept.count if kept else None, options, distillation, class_weights)
        best = _Best(student, options, steps)
        checkpoints = [_Checkpoints(Path(checkpoint), best)] if checkpoint else []
        for _ in range(best.done):
            next(iter(train_dataset))  # each pass has its own shuffled order, so the finished epochs' are used up
        resumed = best.phase
        for phase in _phases(options, epochs, steps, new_layers):
            if not phase.epochs or resumed not in ("", phase.name):
                continue
            for layer in student.layers:
                layer.trainable = phase.trains(layer)
            phase.optimizer.build(student.trainable_variables)
            trainee.compile(optimizer=phase.optimizer)
            if not resumed:
                best.begin(phase)
            resumed = ""
            best.enter(phase)
            with _same_images():
                trainee.fit(
                    batches,
                    validation_data=eval_dataset,
                    initial_epoch=best.done,
                    epochs=best.ends,
                    callbacks=[best, *checkpoints, *callbacks],
                    verbose=0,
                )

    model.set_weights(best.weights)
    # A fresh optimizer, because the moments of the last one would triple the size of the saved file.
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return {**best.history, "best_epoch": [float(best.epoch)]}


def _planned_epochs(options: TrainingOptions, views: int, model: keras.Model, teacher: keras.Model | None) -> int:
    """Returns the maximum number of epochs with all layers trainable; logs it if a compute budget sets it."""
    if options.epochs is not None:
        return options.epochs
    assert teacher is not None  # the options require one
    compute = ReferenceOptions().compute if options.compute is None else options.compute
    epochs = affordable_epochs(compute, model, teacher, views=views, head_epochs=options.head_epochs)
    if not epochs:
        logger.warning("compute is %.4g, which does not pay for an epoch: training for 1 epoch; raise it", compute)
        return 1
    logger.info("training for at most %d epochs, which cost about %.4g passes of the teacher", epochs, compute)
    return epochs


@contextmanager
def _folder_beside(checkpoint: str | Path | None) -> Iterator[Path]:
    """Yields the folder of the teacher's predictions: beside the checkpoint, or a temporary one."""
    if checkpoint is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = Path(checkpoint).with_suffix(".teacher")
    folder.mkdir(exist_ok=True)
    yield folder


def _training_batch(kept: KeptPredictions | None, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Adds to a batch the keys of its images and the teacher's predictions on all of their views."""
    keys = image_keys(images)
    batch = {"images": images, "labels": labels, "keys": keys}
    return batch if kept is None else {**batch, "taught": kept.of(keys)}


@contextmanager
def _same_images() -> Iterator[None]:
    """Reports that the teacher has not seen an image, which TensorFlow wraps in an error of its own."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if UNSEEN in str(error):
            raise CompressorError(UNSEEN) from error
        raise


@dataclass(frozen=True)
class _Phase:
    """A part of the training.

    Attributes:
        name: Name, as logged.
        epochs: Maximum number of its epochs.
        later_epochs: Maximum number of epochs in later phases.
        trains: Returns whether a layer is trained.
        optimizer: Optimizer of this phase alone.
        rate: Learning rate at each step; None for a constant one.
    """

    name: str
    epochs: int
    later_epochs: int
    trains: Callable[[keras.layers.Layer], bool]
    optimizer: keras.optimizers.Optimizer
    rate: LearningRate | None = None


def _phases(options: TrainingOptions, epochs: int, steps: int, new_layers: set[str]) -> Iterator[_Phase]:
    yield _Phase(
        "head",
        options.head_epochs,
        epochs,
        lambda layer: layer.name in new_layers,
        keras.optimizers.Adam(options.head_learning_rate),
    )
    frozen = options.batch_norm == "frozen"
    yield _Phase(
        "fine-tuning",
        epochs,
        0,
        lambda layer: not (frozen and isinstance(layer, keras.layers.BatchNormalization)),
        keras.optimizers.Adam(options.learning_rate),
        LearningRate(options.learning_rate, epoch=steps, epochs=epochs),
    )


class _Trainee(keras.Model):
    """Wraps a student in the model that Keras' ``fit`` trains: augments each batch and takes a step.

    The augmentation is here, so that the student stays the model that will be deployed.
    """

    def __init__(
        self,
        student: keras.Model,
        augment: Augment,
        views: int | None,
        options: TrainingOptions,
        distillation: Distillation,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name="trainee")
        self.student = student
        self._augment = augment
        self._views = views
        self._smoothing = options.label_smoothing
        self._distillation = distillation
        self._class_weights = class_weights
        self.epoch = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="epoch")
        self._mean_loss = keras.metrics.Mean(name="loss")
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.supports_jit = False  # XLA does not support the augmentation
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self._mean_loss, self._accuracy]

    def train_step(self, data: Any) -> dict[str, Any]:
        images, labels = _unpack((data["images"], data["labels"]))
        view = self.epoch if self._views is None else self.epoch % self._views
        images = self._augment(images, data["keys"], view)
        with tf.GradientTape() as tape:
            predictions = self.student(images, training=True)
            losses = _label_loss(labels, predictions, self._smoothing)
            if "taught" in data:
                weight, temperature = self._distillation.weight, self._distillation.temperature
                taught = tf.cast(tf.gather(data["taught"], view, axis=1), predictions.dtype)
                distance = _distance(taught, predictions, temperature)
                losses = (1.0 - weight) * losses + weight * temperature**2 * distance
            if self._class_weights is not None:
                losses *= tf.gather(tf.constant(self._class_weights, losses.dtype), labels)
            losses += sum(self.student.losses)
            # The optimizer sums the gradients of all devices, so each divides by the size of the whole batch, which a
            # short batch does not spread evenly.
            batch_size = tf.distribute.get_replica_context().all_reduce("SUM", tf.size(losses))
            loss = tf.reduce_sum(losses) / tf.cast(batch_size, losses.dtype)
        variables = self.student.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return self._record(losses, labels, predictions)

    def test_step(self, data: Any) -> dict[str, Any]:
        images, labels = _unpack(data)
        predictions = self.student(images, training=False)
        return self._record(_label_loss(labels, predictions, 0.0), labels, predictions)

    def _record(self, losses: tf.Tensor, labels: tf.Tensor, predictions: tf.Tensor) -> dict[str, Any]:
        self._mean_loss.update_state(losses)
        self._accuracy.update_state(labels, predictions)
        return {metric.name: metric.result() for metric in self.metrics}


_WORST = (-math.inf, -math.inf)


class _Best(keras.callbacks.Callback):
    """Keeps the history and the best weights over all phases, ends a phase that stops improving, and logs.

    Where the learning rate changes, a phase that stops improving ends after the rate has fallen.
    """

    total: int
    """Number of epochs in all phases together, as planned so far."""

    _phase: _Phase
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

    def begin(self, phase: _Phase) -> None:
        """Starts to count the epochs of a phase."""
        self.phase, self.began, self.falls = phase.name, self.done, 0
        self.phase_best, self.waited = _WORST, 0

    def enter(self, phase: _Phase) -> None:
        """Goes on with a phase, from its beginning or after an interruption."""
        self._phase = phase
        # The longer the training, the longer accuracy rises in jumps.
        self._patience = self._options.patience or max(_LEAST_PATIENCE, phase.epochs // 5)
        if phase.rate and self.falls:
            phase.rate.fall_from(self.falls)
        self.total = self.ends + phase.later_epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        self._epoch = epoch
        self.model.epoch.assign(epoch)
        log_progress(logger, Progress("epoch", epoch, self.total))

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        if self._phase.rate:
            step = (self._epoch - self.began) * self._steps + batch
            self.model.optimizer.learning_rate.assign(self._phase.rate.at(step))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        log_progress(logger, Progress("epoch", self._epoch + (batch + 1) / (self._steps + 1), self.total))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
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


class _Checkpoints(keras.callbacks.Callback):
    """Writes the state of the training to a file after each epoch."""

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
                    f"checkpoint '{self._path}' belongs to another network: delete it, or give each "
                    "training run its own file."
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
    """Returns everything that training changes: weights, optimizer moments and states of random generators."""
    return [*trainee.variables, *trainee.optimizer.variables]


@contextmanager
def _on_devices(
    strategy: str, model: keras.Model, teacher: keras.Model | None
) -> Iterator[tuple[keras.Model, keras.Model | None]]:
    """Yields the networks to train with, in the strategy's scope. Makes every layer trainable at the end."""
    try:
        if strategy == "none":
            yield model, teacher
            return
        with _mirrored().scope():
            yield _copy(model), _copy(teacher) if teacher else None
    finally:
        for layer in model.layers:
            layer.trainable = True


@functools.cache  # TensorFlow confuses the reductions of two strategies in the same process
def _mirrored() -> tf.distribute.Strategy:
    """Returns a strategy with a copy of each variable on every GPU, or on every logical CPU if there are no GPUs."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    logger.info("training on %d devices: %s", len(devices), ", ".join(device.name for device in devices))
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _copy(model: keras.Model) -> keras.Model:
    """Returns a copy of a network with its own variables, whose batch normalisation uses the images of all devices."""

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
    """Lowers the momentum of batch normalisation's moving averages, so that they keep up with short training."""
    layers = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = {layer: layer.momentum for layer in layers}
    # keras.applications uses a momentum of 0.99 or 0.999, chosen for 100,000s of steps. After a few hundred steps, the
    # averages are still close to their initial values, and inference is far off. A window of a fifth of an epoch has
    # forgotten 99 % of the initial values (1 - e^-5) when the first epoch is evaluated, and still averages many
    # batches.
    for layer in layers:
        layer.momentum = min(layer.momentum, max(0.5, 1.0 - 5.0 / steps))
    try:
        yield
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum


def _new_layers(classifier: keras.Model) -> set[str]:
    """Returns the names of the layers that are not part of the pretrained backbone."""
    graph = LayerGraph.of(classifier)
    end = graph.order[last_feature_map(classifier)]
    return {name for name, position in graph.order.items() if position > end or name.startswith(TRANSLATOR_PREFIX)}


def _unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = data
    return tf.cast(images, tf.float32), tf.reshape(labels, [-1])


def _log(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.clip_by_value(probabilities, keras.config.epsilon(), 1.0))


def _label_loss(labels: tf.Tensor, predictions: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Returns the cross-entropy ``[N]`` with the labels, smoothed (Szegedy et al., arXiv:1512.00567)."""
    losses = keras.losses.sparse_categorical_crossentropy(labels, predictions)
    if smoothing:
        losses = (1.0 - smoothing) * losses - smoothing * tf.reduce_mean(_log(predictions), axis=-1)
    return losses


def _distance(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Returns the Kullback-Leibler divergence ``[N]`` KL(teacher || student), both softened by the temperature."""
    # The logarithm of a softmax is its logits up to a constant, which cancels out.
    target = tf.nn.log_softmax(_log(teacher) / temperature)
    prediction = tf.nn.log_softmax(_log(student) / temperature)
    return tf.reduce_sum(tf.exp(target) * (target - prediction), axis=-1)


def _count_batches(dataset: tf.data.Dataset, kind: str) -> int:
    """Returns the number of batches; raises an error if there are none or infinitely many."""
    count = int(dataset.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        raise CompressorError(f"the {kind} dataset is infinite: remove repeat().")
    if count == tf.data.UNKNOWN_CARDINALITY:
        count = int(dataset.reduce(np.int64(0), lambda total, *_: total + 1))
    if not count:
        raise CompressorError(f"the {kind} dataset is empty: give it at least one batch.")
    return count


def _check_teacher(model: keras.Model, teacher: keras.Model | None, teacher_dataset: tf.data.Dataset | None) -> None:
    if teacher is None:
        raise CompressorError("distillation needs a teacher: pass one, or set its weight to 0.")
    if model.output_shape != teacher.output_shape:
        raise CompressorError(
            f"the teacher's output_shape is {teacher.output_shape}, the model's {model.output_shape}: distillation "
            "needs a teacher for the same classes."
        )
    if model.input_shape != teacher.input_shape and teacher_dataset is None:
        raise CompressorError(
            f"the teacher's input_shape is {teacher.input_shape}, the model's {model.input_shape}: pass "
            "teacher_dataset, with the images in both sizes."
        )


def _check_class_weights(weights: Sequence[float], classes: int) -> None:
    if len(weights) != classes or not all(0 < weight < math.inf for weight in weights):
        raise CompressorError(
            f"class_weights are {list(weights)}: give a weight above 0 for each of the {classes} classes, or None."
        )
