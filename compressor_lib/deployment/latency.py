"""Measures the latency of TFLite models and compares their speed.

A machine's speed changes during a measurement, and a model's location in memory also affects its speed. Therefore the
models take turns in many short rounds, in a new random order each round, and each block of rounds loads the models
again. A figure is the median of the blocks. Its interval leaves out one block at each end, which for the median of 15
blocks is a confidence interval of 99.9 % for any distribution of noise (David and Nagaraja, Order Statistics, 2003,
section 7.1). The random order gives two equal models the same chance of being faster in each block.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from compressor_lib.deployment.model_metrics import Latency, Speedup
from compressor_lib.deployment.tflite import tflite_interpreter

BLOCKS = 15
ROUNDS = 7
"""Number of rounds in a block."""
WARM_UP = 2
SECONDS = 60.0
"""Approximate maximum time of one measurement, in seconds. Large networks are timed in fewer rounds."""


@dataclass(frozen=True)
class Timings:
    """Times of models measured in turns.

    Attributes:
        milliseconds: Times by model name, ``[blocks, rounds]``.
    """

    milliseconds: Mapping[str, npt.NDArray[np.float64]]

    def latency(self, name: str) -> Latency:
        """Returns the time that a model takes for one image."""
        return Latency(*_median_with_interval(self.milliseconds[name]))

    def speedup(self, name: str, reference: str) -> Speedup:
        """Returns the speedup of a model over another, from their times within each round."""
        return Speedup(*_median_with_interval(self.milliseconds[reference] / self.milliseconds[name]))


def time_models(tflite_models: Mapping[str, bytes | str | Path], *, seed: int = 0, seconds: float = SECONDS) -> Timings:
    """Times TFLite models on one image, with one thread.

    Args:
        tflite_models: Paths or contents of the TFLite files, by model name.
        seed: Random seed of the order in which the models take turns.
        seconds: Approximate maximum time of the measurement. Each block has at least one round.

    Returns:
        The times. Files with equal content are timed as one model.
    """
    contents = {
        name: file if isinstance(file, bytes) else Path(file).read_bytes() for name, file in tflite_models.items()
    }
    models = list(dict.fromkeys(contents.values()))
    random = np.random.default_rng(seed)
    rounds = ROUNDS
    blocks: list[npt.NDArray[np.float64]] = []
    for _ in range(BLOCKS):
        interpreters = [_ready(model) for model in models]
        warm = sum(_milliseconds(interpreter) for interpreter in interpreters for _ in range(WARM_UP))
        if not blocks:
            rounds = int(np.clip(1000 * seconds * WARM_UP / (BLOCKS * warm) - WARM_UP, 1, ROUNDS))
        block = np.empty((len(models), rounds))
        for turn in range(rounds):
            for model in random.permutation(len(models)):
                block[model, turn] = _milliseconds(interpreters[model])
        blocks.append(block)
    times = np.stack(blocks, axis=1)
    return Timings({name: times[models.index(content)] for name, content in contents.items()})


def _median_with_interval(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Returns the median of the blocks, the second lowest block and the second highest block."""
    blocks = np.sort(np.median(values, axis=1))
    return float(np.median(blocks)), float(blocks[1]), float(blocks[-2])


def _milliseconds(interpreter: tf.lite.Interpreter) -> float:
    start = time.perf_counter()
    interpreter.invoke()
    return 1000 * (time.perf_counter() - start)


def _ready(tflite: bytes) -> tf.lite.Interpreter:
    interpreter = tflite_interpreter(tflite, num_threads=1)
    source = interpreter.get_input_details()[0]
    noise = np.random.default_rng(0).uniform(0, 255, source["shape"])
    interpreter.set_tensor(source["index"], noise.astype(source["dtype"]))
    return interpreter
