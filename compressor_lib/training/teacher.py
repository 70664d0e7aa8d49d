"""A teacher's predictions on a fixed number of views of each training image, computed once and kept.

A student is trained for many epochs, each of which costs less than one pass of its teacher. So the teacher predicts a
few augmented views of each image, and the student sees the same views in turn. Sources: Beyer et al., Knowledge
distillation: A good teacher is patient and consistent (arXiv:2106.05237, 2021), and for keeping the predictions: Shen
and Xing, A fast knowledge distillation framework for visual recognition (arXiv:2112.01528, 2021).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.support.atomic_write import read_arrays, write_arrays
from compressor_lib.support.progress import Progress, log_progress
from compressor_lib.training.augmentation import Augment, image_keys

logger = logging.getLogger(__name__)

_KEYS, _PREDICTIONS = "keys", "predictions"


class KeptPredictions:
    """Predictions on each view of each image, found by the image's key.

    Args:
        keys: Sorted keys ``int64 [N]`` of the images.
        views: For each view, probabilities ``float16 [N, C]`` in the order of the keys.
    """

    def __init__(self, keys: npt.NDArray[np.int64], views: Sequence[npt.NDArray[np.float16]]) -> None:
        self._keys = keys
        self._views = views

    @property
    def count(self) -> int:
        """Number of views."""
        return len(self._views)

    def of(self, keys: tf.Tensor) -> tf.Tensor:
        """Looks up the predictions on all views of some images, as an operation of a ``tf.data`` pipeline.

        Args:
            keys: ``int64 [n]``, from :func:`compressor_lib.training.augmentation.image_keys`.

        Returns:
            Probabilities ``float16 [n, views, C]``.

        Raises:
            tf.errors.InvalidArgumentError: When the operation runs, if the teacher has not seen an image.
        """
        found = tf.numpy_function(self._look_up, [keys], tf.float16, stateful=False)
        found.set_shape([None, self.count, self._views[0].shape[1]])
        return found

    def _look_up(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
        places = np.searchsorted(self._keys, keys)
        if (places == len(self._keys)).any() or (self._keys[places] != keys).any():
            raise ValueError(UNSEEN)
        return np.stack([view[places] for view in self._views], axis=1)


UNSEEN = (
    "the training dataset yields other images in each pass: leave their augmentation to the training options, or train "
    "without a teacher."
)
"""The message if an image of the training was not among those that the teacher has seen."""


def keep_predictions(
    teacher: keras.Model, dataset: tf.data.Dataset, augment: Augment, views: int, folder: Path
) -> KeptPredictions:
    """Runs a teacher over all views of the training images, or reads the predictions of an earlier call.

    Each view is written to a file once it is complete, so an interrupted call resumes after the last complete view.

    Args:
        teacher: Classifier from ``float32`` images ``[N, T, T, 3]``, 0..255, to probabilities ``[N, C]``.
        dataset: Batches ``(images, labels)`` of the student's images ``uint8 [N, S, S, 3]``, or
            ``((images, teacher_images), labels)`` with the same images in the teacher's size.
        augment: Makes the views.
        views: Number of views.
        folder: Existing folder of the files. It belongs to one teacher, dataset and augmentation.

    Returns:
        The predictions.

    Raises:
        CompressorError: If the passes over the dataset yield different images.
    """
    asked = _Asked(teacher, augment)
    given = dataset.map(_with_keys, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    keys, kept = None, []
    for view in range(views):
        path = folder / f"view-{view}.npz"
        arrays = read_arrays(path)
        if arrays is None:
            log_progress(logger, Progress("view", view, views, "the teacher's predictions"))
            arrays = asked.on_view(given, view)
            write_arrays(arrays, path)
        else:
            next(iter(given))  # each pass has its own shuffled order, so that of the earlier call is used up
        if keys is not None and not np.array_equal(keys, arrays[_KEYS]):
            raise CompressorError(UNSEEN)
        keys = arrays[_KEYS]
        kept.append(arrays[_PREDICTIONS])
    assert keys is not None
    return KeptPredictions(keys, kept)


def _with_keys(images: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Maps a batch to the keys of the student's images and the images for the teacher."""
    del labels
    own, teachers = images if isinstance(images, tuple) else (images, images)
    return image_keys(own), teachers


class _Asked(keras.Model):
    """Wraps a teacher for Keras' ``predict``, which runs it on every device of a strategy."""

    def __init__(self, teacher: keras.Model, augment: Augment) -> None:
        super().__init__(name="asked")
        # In closures, so that Keras does not track their weights.
        self._teach = lambda images: teacher(images, training=False)
        self._view_of = lambda *given: augment(*given)
        self.view = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="view")
        self.compile(jit_compile=False)  # XLA does not support the augmentation
        self.built = True

    def on_view(self, dataset: tf.data.Dataset, view: int) -> dict[str, npt.NDArray[Any]]:
        """Returns the sorted keys and the predictions in their order."""
        self.view.assign(view)
        keys, predictions = self.predict(dataset, verbose=0)
        keys, places = np.unique(keys, return_index=True)
        return {_KEYS: keys, _PREDICTIONS: predictions[places].astype(np.float16)}

    def predict_step(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        keys, images = data
        return keys, self._teach(self._view_of(tf.cast(images, tf.float32), keys, self.view))
