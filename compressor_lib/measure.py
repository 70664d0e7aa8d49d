"""How large, how fast and how good a deployed model is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.tflite import tflite_interpreter, tflite_predict

WARM_UP = 3


def count_parameters(model: keras.Model) -> int:
    """Counts all numbers of a model: trainable ones and the rest, such as moving averages."""
    return int(model.count_params())


def latency_ms(tflite_models: Mapping[str, bytes | str | Path], repeats: int = 50) -> dict[str, float]:
    """Times TFLite models on one picture and one thread.

    The models take turns within one run, so that whatever else the machine does falls on all of
    them alike.

    Args:
        tflite_models: each model's file by name: its path, or its content.
        repeats: timed pictures for each model, after a few to warm up.

    Returns:
        Median milliseconds a picture for each name.
    """
    interpreters = {name: _ready(tflite) for name, tflite in tflite_models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in interpreters}
    for _ in range(WARM_UP + repeats):
        for name, interpreter in interpreters.items():
            start = time.perf_counter()
            interpreter.invoke()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000.0 * float(np.median(all_[WARM_UP:])) for name, all_ in seconds.items()}


def tflite_accuracy(
    tflite_models: Mapping[str, str | Path], batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """Measures how many pictures TFLite models name rightly.

    Args:
        tflite_models: path of each model's file by name.
        batches: pictures `[N, S, S, 3]`, 0..255, and their classes, `[N]`; gone through once, a
            `tf.data.Dataset` for instance.

    Returns:
        Accuracy for each name, 0 to 1.
    """
    right = dict.fromkeys(tflite_models, 0)
    total = 0
    for pictures, labels in batches:
        for name, path in tflite_models.items():
            answers = tflite_predict(path, np.asarray(pictures), num_threads=os.cpu_count() or 1)
            right[name] += int((answers.argmax(axis=-1) == np.asarray(labels)).sum())
        total += len(labels)
    return {name: count / total for name, count in right.items()}


def _ready(tflite: bytes | str | Path) -> tf.lite.Interpreter:
    interpreter = tflite_interpreter(tflite, num_threads=1)
    source = interpreter.get_input_details()[0]
    noise = np.random.default_rng(0).uniform(0, 255, source["shape"])
    interpreter.set_tensor(source["index"], noise.astype(source["dtype"]))
    return interpreter
