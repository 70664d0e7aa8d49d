"""Trains a classifier on a pretrained backbone: the head first, then the whole network."""

from __future__ import annotations

import functools
import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.training.augmentation import Augment, image_keys
from compressor_lib.training.best_epoch import BestEpoch, Checkpoints
from compressor_lib.training.compute_budget import affordable_epochs
from compressor_lib.training.devices import on_devices
from compressor_lib.training.losses import distance, label_loss
from compressor_lib.training.options import Distillation, ReferenceOptions, TrainingOptions
from compressor_lib.training.phases import new_layers, phases
from compressor_lib.training.teacher import UNSEEN, KeptPredictions, keep_predictions

logger = logging.getLogger(__name__)


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
    head = new_layers(model) if options.head_epochs else set()
    views = distillation.views if options.augmentation.varies else 1
    epochs = _planned_epochs(options, views, model, teacher)

    with (
        on_devices(options.strategy, model, teacher) as (student, teacher),
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
        best = BestEpoch(student, options, steps)
        checkpoints = [Checkpoints(Path(checkpoint), best)] if checkpoint else []
        for _ in range(best.done):
            next(iter(train_dataset))  # each pass has its own shuffled order, so the finished epochs' are used up
        resumed = best.phase
        for phase in phases(options, epochs, steps, head):
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
            losses = label_loss(labels, predictions, self._smoothing)
            if "taught" in data:
                weight, temperature = self._distillation.weight, self._distillation.temperature
                taught = tf.cast(tf.gather(data["taught"], view, axis=1), predictions.dtype)
                distance_to_teacher = distance(taught, predictions, temperature)
                losses = (1.0 - weight) * losses + weight * temperature**2 * distance_to_teacher
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
        return self._record(label_loss(labels, predictions, 0.0), labels, predictions)

    def _record(self, losses: tf.Tensor, labels: tf.Tensor, predictions: tf.Tensor) -> dict[str, Any]:
        self._mean_loss.update_state(losses)
        self._accuracy.update_state(labels, predictions)
        return {metric.name: metric.result() for metric in self.metrics}


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


def _unpack(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = data
    return tf.cast(images, tf.float32), tf.reshape(labels, [-1])


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
