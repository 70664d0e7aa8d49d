"""Converts a classifier to TFLite and compares each TFLite model with the SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.deployment import phrases
from compressor_lib.deployment.images import CHANNELS, encode_image
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import ConversionError, tflite_predict, to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.errors import first_line

TOLERANCE = 1e-3
"""Largest allowed difference between a probability of the float32 TFLite model and of the SavedModel."""

LEAST_KEPT = 0.75
"""Smallest share of the SavedModel's highest probabilities that a quantised TFLite model must keep.

Rounding can change probabilities considerably, so a quantised model is judged by its predicted classes. Their
probabilities according to the SavedModel are compared with the SavedModel's highest probabilities, each summed over the
images. Predicting the other of two equally likely classes costs nothing, so an untrained model passes, but a model that
ignores its input fails. Only a test split shows how accurate the model is.
"""

COMPARED = 16
"""Maximum number of calibration images on which TFLite models are compared with the SavedModel."""


class Conversions(NamedTuple):
    """The result of the conversion to each precision.

    Attributes:
        files: TFLite files, by precision.
        not_converted: Reasons for missing TFLite models, by precision, each a phrase that fits after the precision and
            a colon.
    """

    files: dict[str, bytes]
    not_converted: dict[str, str]


def convert(
    model: keras.Model,
    class_names: Sequence[str],
    served: Callable[..., dict[str, tf.Tensor]],
    *,
    formats: Sequence[Precision],
    calibration: np.ndarray | None = None,
    is_gated: bool = False,
) -> Conversions:
    """Converts a classifier to TFLite, with metadata.

    Args:
        model: Classifier from ``float32`` images ``[N, S, S, 3]``, 0..255, to probabilities ``[N, C]``.
        class_names: The ``C`` class names, in the order of the probabilities.
        served: The SavedModel's function from ``image_bytes``, ``string [N]``, to a dictionary with ``probabilities``.
        formats: Precisions of the TFLite models.
        calibration: ``uint8 [K, S, S, 3]``, some of the training images, required for int8. The TFLite models are
            compared with the SavedModel on the first few of these images, or on fixed noise without them.
        is_gated: Whether a gate decides later which models are deployed. If so, a precision that fails is left out
            instead of raising an error, and the predictions of precisions other than float32 are not checked.

    Returns:
        The TFLite files, and the reasons for missing ones. No file is missing unless ``is_gated`` is set.

    Raises:
        ConversionError: If the model does not convert to a precision, or the predictions of the TFLite model differ too
            much: in float32 by more than ``TOLERANCE``, in other precisions if less than ``LEAST_KEPT`` is kept.
        CompressorError: If a format is unknown or its calibration images are missing.
    """
    images = _noise(model.input_shape[1]) if calibration is None else calibration[:COMPARED]
    encoded = tf.stack([encode_image(image) for image in images])
    expected = served(image_bytes=encoded)["probabilities"].numpy()
    conversions = Conversions({}, {})
    for precision in dict.fromkeys(formats):
        try:
            tflite = to_tflite(model, precision=precision, calibration=calibration)
            predictions = _predictions(tflite, images, precision)
            if precision == "float32":
                _check_probabilities(predictions, expected)
            elif not is_gated:
                _check_classes(predictions, expected, precision)
        except ConversionError as error:
            if not is_gated:
                raise
            conversions.not_converted[precision] = error.reason
        else:
            conversions.files[precision] = with_metadata(tflite, class_names)
    return conversions


def _noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, size, size, CHANNELS), dtype=np.uint8)


def _predictions(tflite: bytes, images: np.ndarray, precision: Precision) -> np.ndarray:
    try:
        return tflite_predict(tflite, images)
    except (RuntimeError, ValueError) as error:  # the interpreter lacks an operation or cannot prepare it
        raise ConversionError(
            f"the {precision} TFLite model does not run ({first_line(error)}): remove this format.",
            f"its TFLite model does not run ({first_line(error)})",
        ) from error


def _check_probabilities(predictions: np.ndarray, expected: np.ndarray) -> None:
    difference = float(np.abs(predictions - expected).max())
    if not difference <= TOLERANCE:
        raise ConversionError(
            f"the float32 TFLite model's probabilities differ by up to {difference:.2g} from the "
            f"SavedModel's (allowed: {TOLERANCE:g}): a layer does not convert faithfully.",
            f"a layer does not convert faithfully (probabilities are off by up to {difference:.2g})",
        )


def _check_classes(predictions: np.ndarray, expected: np.ndarray, precision: Precision) -> None:
    predicted = np.take_along_axis(expected, predictions.argmax(axis=-1)[:, None], axis=-1)
    kept = float(predicted.sum() / expected.max(axis=-1).sum())
    if not kept >= LEAST_KEPT:
        raise ConversionError(
            f"the classes that the {precision} TFLite model predicts keep {phrases.percent(kept)} of the SavedModel's "
            f"highest probabilities (at least: {phrases.percent(LEAST_KEPT, decimals=None)}): remove this format.",
            f"the classes that it predicts keep {phrases.percent(kept)} of the SavedModel's highest probabilities",
        )
