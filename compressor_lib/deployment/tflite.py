"""Converts classifiers to TFLite and runs TFLite models."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite_padding import with_folded_padding
from compressor_lib.errors import CompressorError, first_line

logger = logging.getLogger(__name__)


_OF_THE_MACHINE = (MemoryError, OSError, tf.errors.ResourceExhaustedError)
"""Errors that are not caused by the format, such as a full disk."""


class ConversionError(CompressorError):
    """Raised if a model cannot be converted to TFLite in one precision, or not faithfully. Others may still work.

    Attributes:
        reason: The reason, as a phrase that fits after the precision and a colon.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ConversionError], tuple[str, str]]:
        return ConversionError, (str(self), self.reason)


def to_tflite(model: keras.Model, *, precision: Precision = "float32", calibration: np.ndarray | None = None) -> bytes:
    """Converts a model to TFLite.

    The TFLite model takes one image of pixels, 0..255, ``[1, S, S, 3]``, and returns probabilities ``[1, C]``.

    - float32: image and probabilities in ``float32``.
    - float16: the same, but the weights are stored as float16 and widened to float32 for computation.
    - int8: integers throughout, with one scale per channel of the weights (Jacob et al. 2018,
      https://arxiv.org/abs/1712.05877). The image is ``uint8``, the unchanged pixels. A probability is ``uint8``,
      in units of 1/256.

    Args:
        model: A model that takes ``float32 [N, S, S, 3]``.
        precision: The number format.
        calibration: For int8 only, ``[K, S, S, 3]``, 0..255: representative images on which the ranges of the
            activations are measured. About 100 images are enough.

    Returns:
        The content of the TFLite file.

    Raises:
        ConversionError: If TensorFlow's converter fails, for example because a layer has no TFLite form in this
            precision.
        CompressorError: If the precision is unknown, or int8 is requested without calibration images.
    """
    if precision not in get_args(Precision):
        raise CompressorError(f"unknown precision {precision!r}: choose {', '.join(get_args(Precision))}.")
    call = tf.function(lambda images: model(images, training=False), autograph=False)
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="images")
    # The converter of TensorFlow 2.16 aborts on objects that Keras 3 tracks ("missing attribute 'value'", tensorflow
    # issue 63987), also in from_keras_model. It accepts the plain variables.
    holder = tf.Module()
    holder.weights = [weight.value for weight in model.weights]
    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function(spec)], holder)
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        elif precision == "int8":
            _quantise(converter, calibration)
        try:
            return with_folded_padding(converter.convert())
        except _OF_THE_MACHINE:
            raise
        except Exception as error:  # the converter raises many types, such as TypeError and KeyError
            raise _not_converted(error, precision) from error


def _not_converted(error: Exception, precision: str) -> ConversionError:
    cause = first_line(error)
    return ConversionError(
        f"the network does not convert to TFLite in {precision}: {cause}. Replace the layer that does not convert, or "
        "remove this format.",
        f"it does not convert to TFLite ({cause})",
    )


def _quantise(converter: tf.lite.TFLiteConverter, calibration: np.ndarray | None) -> None:
    """Requests integers throughout. An operation without an integer form makes the conversion fail."""
    if calibration is None or not len(calibration):
        raise CompressorError("int8 needs calibration images: give some of the training images.")
    images = calibration.astype(np.float32)
    # A black and a white pixel extend the input's range to 0..255, so that its scale is 1.
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8


def tflite_interpreter(tflite: bytes | str | Path, num_threads: int = 1) -> tf.lite.Interpreter:
    """Returns an interpreter with allocated tensors.

    Args:
        tflite: Content or path of the TFLite file.
        num_threads: Number of threads.
    """
    content = tflite if isinstance(tflite, bytes) else Path(tflite).read_bytes()
    with quiet():
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
    return interpreter


def tflite_predict(tflite: bytes | str | Path, images: np.ndarray, num_threads: int = 1) -> np.ndarray:
    """Predicts with a TFLite model of any precision, one image at a time.

    Args:
        tflite: Content or path of the TFLite file.
        images: ``[N, S, S, 3]``, ``uint8`` or float, 0..255. N is at least 1.
        num_threads: Number of threads.

    Returns:
        Probabilities, ``float32 [N, C]``.
    """
    interpreter = tflite_interpreter(tflite, num_threads)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    predictions = []
    for image in images:
        interpreter.set_tensor(source["index"], _stored(image[None], source))
        interpreter.invoke()
        predictions.append(_real(interpreter.get_tensor(target["index"])[0], target))
    return np.stack(predictions)


def _stored(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Converts values to the stored form of a tensor, quantised if the tensor is."""
    scale, zero = tensor["quantization"]
    if scale:  # 0 if the tensor is not quantised
        limits = np.iinfo(tensor["dtype"])
        values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
    return values.astype(tensor["dtype"])


def _real(stored: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Converts stored values of a tensor to float32."""
    scale, zero = tensor["quantization"]
    values = stored.astype(np.float32)
    return np.float32(scale) * (values - np.float32(zero)) if scale else values


@contextmanager
def quiet() -> Iterator[None]:
    """Redirects the output of TensorFlow's C++ code to this module's log, at level DEBUG.

    Its harmless warnings ("Ignored output_format") bypass Python, go to the process's stderr and ignore log levels.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as output:
        screen = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            output.seek(0)
            for line in output.read().decode(errors="replace").splitlines():
                logger.debug(line)
