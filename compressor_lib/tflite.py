"""The TFLite twin of a classifier: conversion and answers."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

logger = logging.getLogger(__name__)


def to_tflite(model: keras.Model) -> bytes:
    """Converts a model to TFLite in float32.

    Args:
        model: takes `float32 [N, S, S, 3]`.

    Returns:
        The TFLite file's bytes; its input is `float32 [1, S, S, 3]`.
    """
    call = tf.function(lambda pictures: model(pictures, training=False), autograph=False)
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="pictures")
    # The converter of TensorFlow 2.16 aborts on what Keras 3 tracks ("missing attribute 'value'",
    # tensorflow issue 63987), from_keras_model included. It takes the bare variables.
    holder = tf.Module()
    holder.weights = [weight.value for weight in model.weights]
    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function(spec)], holder)
        return converter.convert()


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


def tflite_predict(tflite: bytes | str | Path, pictures: np.ndarray) -> np.ndarray:
    """Answers with a TFLite model, one picture at a time.

    Args:
        tflite: the file's bytes or its path.
        pictures: `[N, S, S, 3]`, `uint8` or float, 0..255; N at least 1.

    Returns:
        Probabilities, `float32 [N, C]`.
    """
    interpreter = tflite_interpreter(tflite)
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    answers = []
    for picture in pictures:
        interpreter.set_tensor(source, picture[None].astype(np.float32))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target)[0])
    return np.stack(answers)


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
