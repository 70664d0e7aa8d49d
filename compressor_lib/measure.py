"""How large and how good a deployed model is; :mod:`compressor_lib.deployment.latency` says how fast."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from compressor_lib.tflite import tflite_predict


def count_parameters(model: keras.Model) -> int:
    """Counts all numbers of a model: trainable ones and the rest, such as moving averages."""
    return int(model.count_params())


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
