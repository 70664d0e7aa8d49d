"""Measures how memory grows with the number of images: ``python -m benchmarks.memory``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as the command line does

import tensorflow as tf

from benchmarks.tables import show
from benchmarks.watch import Watch
from compressor_lib.cuts.families import searched_connections
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import run_search

BACKBONE = "MobileNetV2"
SIZE = 224
COUNTS = (1000, 2000, 4000)
PROMISED = 100_000
FEATURE_MEMORY = 64 * 2**20
"""Bytes; small, so that the features of all but a few hundred images go to files, as with 100,000 images."""


def main() -> None:
    """Runs a search for each number of images, each in its own process, and prints the memory and its slope."""
    measured = {count: _peak_of(count) for count in COUNTS}
    (fewest, *_, most) = COUNTS
    slope = (measured[most] - measured[fewest]) / (most - fewest)
    show(
        "memory",
        f"{BACKBONE} 1.0, {SIZE} px, all families, features in memory limited to {FEATURE_MEMORY // 2**20} MiB",
        ("images", "peak memory of the process, MB"),
        [
            *((count, peak / 1e6) for count, peak in measured.items()),
            (f"{PROMISED}, extrapolated by {slope / 1e3:.2f} kB per image", (measured[most] + slope * PROMISED) / 1e6),
        ],
    )


def _peak_of(count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def search(count: int) -> None:
    """Runs a search on ``count`` random images and prints the peak memory of the process, in bytes."""
    backbone = find_backbone(BACKBONE).build(input_size=SIZE, weights=None, preprocess=True)
    hypermodel = HyperCompressor(
        backbone.count_params(),
        10,
        backbone=backbone,
        connections=searched_connections(backbone, BACKBONE, "all"),
        loss="sparse_categorical_crossentropy",
        feature_memory=FEATURE_MEMORY,
    )
    began = time.time()
    with Watch(os.getpid()) as watch, tempfile.TemporaryDirectory() as folder:
        run_search(hypermodel, _images(count), _images(32), SearchOptions("random", max_trials=4, max_epochs=2), folder)
    print(watch.between(began, time.time()).memory)


def _images(count: int) -> tf.data.Dataset:
    def image(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noise = tf.random.stateless_uniform((SIZE, SIZE, 3), (number, 0), 0, 256, tf.int32)
        return tf.cast(noise, tf.uint8), number % 10

    return tf.data.Dataset.range(count).map(image).batch(32).prefetch(1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        search(int(sys.argv[1]))
    else:
        main()
