"""The TFLite models of a classifier that is served as a SavedModel, each compared with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.deployment import phrases
from compressor_lib.deployment.images import CHANNELS, encode_image
from compressor_lib.deployment.tflite import ConversionError, Precision, tflite_predict, to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.errors import first_line

TOLERANCE = 1e-3
"""How far a probability of the float32 TFLite model may be from the SavedModel's."""

LEAST_KEPT = 0.75
"""What a narrower TFLite model must keep of the SavedModel's highest probabilities.

Rounding moves probabilities, now and then by much, so a narrower model is judged by the classes it
predicts: their probabilities by the SavedModel, against the highest ones, each summed over the
images. To predict the other of two classes that are equally likely costs nothing, so an untrained
model passes; one that does not see its images fails. How good it is, only a test split tells.
"""

COMPARED = 16
"""Most calibration images on which TFLite models are compared with the SavedModel."""


class Conversions(NamedTuple):
    """What became of each precision.

    Attributes:
        files: TFLite files, by precision.
        not_converted: Why there is none, by precision, to be read behind the precision's name and a colon.
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
        model: The classifier, from `float32` images `[N, S, S, 3]`, 0..255, to probabilities `[N, C]`.
        class_names: The `C` names, in the order of the probabilities.
        served: The SavedModel's function from `image_bytes`, `string [N]`, to a dictionary with `probabilities`.
        formats: Precisions of the TFLite models.
        calibration: `uint8 [K, S, S, 3]`, which int8 needs: some of the training images. The TFLite models are
            compared with the SavedModel on the first few; without them, on fixed noise.
        is_gated: Whether a gate decides later what ships. Then a precision that fails is left out rather than
            raised, and what is narrower than float32 may predict anything here.

    Returns:
        The TFLite files, and which precisions have none. All have one unless ``is_gated``.

    Raises:
        ConversionError: If a precision does not convert, or the predictions of its TFLite model differ: in float32 by
            more than ``TOLERANCE``, in others so that less than ``LEAST_KEPT`` is kept.
        CompressorError: If a format is unknown or lacks its calibration.
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
    except (RuntimeError, ValueError) as error:  # an operation that the interpreter does not have, or cannot prepare
        raise ConversionError(
            f"the {precision} TFLite model does not run ({first_line(error)}): leave out this format.",
            f"its TFLite model does not run ({first_line(error)})",
        ) from error


def _check_probabilities(predictions: np.ndarray, expected: np.ndarray) -> None:
    difference = float(np.abs(predictions - expected).max())
    if not difference <= TOLERANCE:
        raise ConversionError(
            f"the float32 TFLite model's probabilities are up to {difference:.2g} away from the "
            f"SavedModel's (allowed: {TOLERANCE:g}): a layer does not convert faithfully.",
            f"a layer does not convert faithfully (probabilities up to {difference:.2g} away from the SavedModel's)",
        )


def _check_classes(predictions: np.ndarray, expected: np.ndarray, precision: Precision) -> None:
    predicted = np.take_along_axis(expected, predictions.argmax(axis=-1)[:, None], axis=-1)
    kept = float(predicted.sum() / expected.max(axis=-1).sum())
    if not kept >= LEAST_KEPT:
        raise ConversionError(
            f"the classes that the {precision} TFLite model predicts keep {phrases.percent(kept)} of the SavedModel's "
            f"highest probabilities (at least: {phrases.percent(LEAST_KEPT, decimals=None)}): leave out this format.",
            f"the classes that it predicts keep {phrases.percent(kept)} of the SavedModel's highest probabilities",
        )
