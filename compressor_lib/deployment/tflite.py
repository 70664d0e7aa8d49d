"""The TFLite twins of a classifier: conversion and answers."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.errors import CompressorError, first_line

Precision = Literal["float32", "float16", "int8"]
"""What a twin's numbers are: float32; weights in float16; weights and activations in int8."""

logger = logging.getLogger(__name__)

_OF_THE_MACHINE = (MemoryError, OSError, tf.errors.ResourceExhaustedError)
"""What no format is to blame for, such as a full disk."""


class ConversionError(CompressorError):
    """A model that has no TFLite form of one precision, or no faithful one; those of others may be sound.

    Attributes:
        reason: Why, to be read behind the precision's name and a colon.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ConversionError], tuple[str, str]]:
        return ConversionError, (str(self), self.reason)


def to_tflite(model: keras.Model, *, precision: Precision = "float32", calibration: np.ndarray | None = None) -> bytes:
    """Converts a model to TFLite.

    The twin takes one image of pixels, 0..255, `[1, S, S, 3]`, and gives probabilities `[1, C]`.

    - float32: both in `float32`.
    - float16: likewise; the weights are stored in half the bytes and widened to compute.
    - int8: integers throughout, weights with a scale for each channel (Jacob et al. 2018,
      https://arxiv.org/abs/1712.05877). The image is `uint8`, pixels as they are; a probability
      is `uint8`, in 1/256.

    Args:
        model: takes `float32 [N, S, S, 3]`.
        precision: what the numbers are.
        calibration: for int8: `[K, S, S, 3]`, 0..255, images like those to come, on which the
            activations' ranges are measured; about 100 do.

    Returns:
        The TFLite file's bytes.

    Raises:
        ConversionError: if TensorFlow's converter fails, as where a layer has no TFLite form in this precision.
        CompressorError: if the precision is unknown, or is int8 and there is no calibration.
    """
    if precision not in get_args(Precision):
        raise CompressorError(f"precision {precision!r} is unknown: choose {', '.join(get_args(Precision))}.")
    call = tf.function(lambda images: model(images, training=False), autograph=False)
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="images")
    # The converter of TensorFlow 2.16 aborts on what Keras 3 tracks ("missing attribute 'value'",
    # tensorflow issue 63987), from_keras_model included. It takes the bare variables.
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
            return converter.convert()
        except _OF_THE_MACHINE:
            raise
        except Exception as error:  # the converter fails in many ways, TypeError and KeyError among them
            raise _not_converted(error, precision) from error


def _not_converted(error: Exception, precision: str) -> ConversionError:
    cause = first_line(error)
    return ConversionError(
        f"the network does not convert to TFLite in {precision}: {cause}. Replace the layer that does not, or "
        "leave out this format.",
        f"it does not convert to TFLite ({cause})",
    )


def _quantise(converter: tf.lite.TFLiteConverter, calibration: np.ndarray | None) -> None:
    """Asks for integers throughout; an operation that has no such form fails the conversion."""
    if calibration is None or not len(calibration):
        raise CompressorError("int8 needs images to calibrate on: give some of the training images.")
    images = calibration.astype(np.float32)
    # A black and a white pixel: the input's range is then all of 0..255, its scale 1.
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8


def tflite_interpreter(tflite: bytes | str | Path, num_threads: int = 1) -> tf.lite.Interpreter:
    """Returns an interpreter that is ready for its input.

    Args:
        tflite: the file's bytes or its path.
        num_threads: threads it may use.
    """
    content = tflite if isinstance(tflite, bytes) else Path(tflite).read_bytes()
    with quiet():
        interpreter = tf.lite.Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
    return interpreter


def tflite_predict(tflite: bytes | str | Path, images: np.ndarray, num_threads: int = 1) -> np.ndarray:
    """Answers with a TFLite model of any precision, one image at a time.

    Args:
        tflite: the file's bytes or its path.
        images: `[N, S, S, 3]`, `uint8` or float, 0..255; N at least 1.
        num_threads: threads it may use.

    Returns:
        Probabilities, `float32 [N, C]`.
    """
    interpreter = tflite_interpreter(tflite, num_threads)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(source["index"], _stored(image[None], source))
        interpreter.invoke()
        answers.append(_real(interpreter.get_tensor(target["index"])[0], target))
    return np.stack(answers)


def _stored(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Numbers as a tensor of these details holds them."""
    scale, zero = tensor["quantization"]
    if scale:  # 0 if the tensor is not quantised
        limits = np.iinfo(tensor["dtype"])
        values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
    return values.astype(tensor["dtype"])


def _real(stored: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """The numbers that a tensor of these details holds, in float32."""
    scale, zero = tensor["quantization"]
    values = stored.astype(np.float32)
    return np.float32(scale) * (values - np.float32(zero)) if scale else values


@contextmanager
def quiet() -> Iterator[None]:
    """Sends what TensorFlow's C++ code prints to this module's log, at level DEBUG.

    Its harmless warnings ("Ignored output_format") go past Python, to the process's stderr, and
    heed no log level.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said:
        screen = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            said.seek(0)
            for line in said.read().decode(errors="replace").splitlines():
                logger.debug(line)
