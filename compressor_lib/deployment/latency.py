"""How long TFLite models take for an image, and whether one is faster than another.

A machine's speed changes while it is measured, and where a model lies in memory changes its speed too. So the models
take turns in many short rounds, in an order that is drawn anew for each round, and every block of rounds loads them
anew. A figure is the median of the blocks; its interval leaves out one block at each end, which for the median of 15
blocks is a confidence interval of 99.9 % whatever the noise is like (David and Nagaraja, Order Statistics, 2003,
section 7.1). For two equal models the drawn order makes either side as likely in each block.
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
"""Rounds in a block."""
WARM_UP = 2
SECONDS = 60.0
"""About how long one measurement takes at most: large networks are timed in fewer rounds."""


@dataclass(frozen=True)
class Timings:
    """Times of models that took turns.

    Attributes:
        milliseconds: By the model's name, ``[blocks, rounds]``.
    """

    milliseconds: Mapping[str, npt.NDArray[np.float64]]

    def latency(self, name: str) -> Latency:
        """Returns a model's time for an image."""
        return Latency(*_median_with_interval(self.milliseconds[name]))

    def speedup(self, name: str, reference: str) -> Speedup:
        """Returns how many times as fast as another a model is, by what each round says of the two."""
        return Speedup(*_median_with_interval(self.milliseconds[reference] / self.milliseconds[name]))


def time_models(tflite_models: Mapping[str, bytes | str | Path], *, seed: int = 0, seconds: float = SECONDS) -> Timings:
    """Times TFLite models on one image and one thread.

    Args:
        tflite_models: Each model's file by name: its path, or its content.
        seed: Of the order in which they take turns.
        seconds: About how long this takes at most; each block has at least one round.

    Returns:
        Their times. Files of equal content are timed as one model.
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
    """The median of the blocks, and the second lowest and second highest of them."""
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
