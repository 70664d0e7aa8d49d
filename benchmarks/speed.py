"""How long translators and trials take, in units of one forward pass of the backbone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf

from compressor_lib.backbones import find_backbone
from compressor_lib.hypermodels import HyperCompressor
from compressor_lib.pretraining import fit_translators, train_translator


def digits(size: int, pictures: int) -> tf.data.Dataset:
    """scikit-learn's digits as batches of pictures, float32 ``[32, size, size, 3]`` in 0..255, and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    small = np.repeat(data.images[:pictures, ..., None], 3, axis=-1).astype(np.float32) * 255 / 16
    large = tf.image.resize(small, (size, size)).numpy()
    return tf.data.Dataset.from_tensor_slices((large, data.target[:pictures])).batch(32)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(*, size: int = 96, pictures: int = 512, rounds: int = 3, epochs: int = 5) -> list[tuple[str, float, float]]:
    """Times each way of doing the work beside one forward pass, in turn, in this process.

    Args:
        size: Of the pictures, in pixels.
        pictures: How many.
        rounds: How often; medians are reported.
        epochs: Of gradient descent for a translator, and of a trial.

    Returns:
        Rows ``(what, median seconds, median ratio to the forward pass of its round)``.
    """
    base = find_backbone("MobileNetV2").build(input_size=size, weights=None, preprocess=True)
    connections = find_backbone("MobileNetV2").connections(base)
    data = digits(size, pictures)
    only_pictures = data.map(lambda x, _: x)
    forward = tf.function(lambda x: base(x, training=False))

    def one_pass() -> None:
        for batch in only_pictures:
            forward(batch)

    def trial(cached: bool) -> Callable[[], object]:
        hypermodel = HyperCompressor(
            base.count_params(),
            10,
            backbone=base,
            connections=connections,
            translators=bank,
            head_units=(0,),
            loss="sparse_categorical_crossentropy",
            cache_features=cached,
        )
        hp = kt.HyperParameters()
        hp.Fixed("translator", "block_5_add->Conv_1")

        def run() -> None:
            hypermodel.fit(hp, hypermodel.build(hp), data, validation_data=data, epochs=epochs, verbose=0)

        if cached:
            run()  # fills the cache; its cost is the row below
        return run

    one_pass()
    bank = fit_translators(base, connections, only_pictures)
    gradient = connections[-1]
    work: dict[str, Callable[[], object]] = {
        "one forward pass of the backbone (F)": one_pass,
        f"all {len(connections)} translators, closed form": lambda: fit_translators(base, connections, only_pictures),
        f"one translator, {epochs} epochs of gradient descent": lambda: train_translator(
            base, gradient, only_pictures, epochs=epochs
        ),
        f"one trial of {epochs} epochs, on cached features": trial(cached=True),
        f"one trial of {epochs} epochs, plain": trial(cached=False),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            times[name].append(seconds(do))
    passes = next(iter(times.values()))
    return [
        (
            name,
            statistics.median(taken),
            statistics.median(t / f for t, f in zip(taken, passes, strict=True)),
        )
        for name, taken in times.items()
    ]


def main() -> None:
    """Prints the table."""
    keras.utils.set_random_seed(0)
    rows = measure()
    print("MobileNetV2 1.0, 96 px, 512 pictures, random weights; medians of 3 rounds\n")
    print(f"| {'work':52} | seconds | ratio to F |\n|{'-' * 54}|--------:|-----------:|")
    for name, taken, ratio in rows:
        print(f"| {name:52} | {taken:7.2f} | {ratio:10.2f} |")
