"""Measures the cost of runs with many images, many classes, and Beam's workers: ``python -m benchmarks.load``.

``python -m benchmarks.load images 2000 10000`` measures one part at other sizes. The number of images in the part with
many classes is ten times the largest number of classes. Images are noise around a colour per class, and the network is
tiny, so that the pipeline itself is measured.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.tables import show
from benchmarks.watch import Load, Watch
from pipelines.config.config import METADATA_FILE
from pipelines.results.lineage import Lineage

SIZE = 32
FEATURE_MEMORY = 64
"""MiB; small, so that most features go to files."""
ROUNDS = 3
WORKERS = (1, 2)
TOTAL = "whole run"
IN_PROCESSES = ("ImageExampleGen", "Transform")
"""The nodes that use Beam's workers, in order."""

_TRAINING = {"head_epochs": 0, "epochs": 2, "batch_size": 128, "learning_rate": 2e-3, "batch_norm": "train"}
_CONNECTIONS = ["block_1_relu->block_3_conv", "block_1_relu->tail", "block_2_relu->head", "block_1_relu->head"]


def main() -> None:
    """Measures all parts, or one, and prints the tables."""
    parts: dict[str, tuple[Callable[[Sequence[int]], None], list[int]]] = {
        "images": (lambda sizes: _growing("image", sizes, [(one, 10) for one in sizes]), [2_000, 10_000, 100_000]),
        "classes": (lambda sizes: _growing("class", sizes, [(10 * max(sizes), one) for one in sizes]), [10, 2_000]),
        "workers": (_workers, [50_000]),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=parts, help="part to measure; default: all")
    parser.add_argument("sizes", nargs="*", type=int, help="numbers of images or classes, ascending")
    asked = parser.parse_args()
    for name in [asked.part] if asked.part else parts:
        measure, sizes = parts[name]
        measure(asked.sizes or sizes)


def _growing(what: str, counts: Sequence[int], sizes: Sequence[tuple[int, int]]) -> None:
    """Measures runs with more and more images or classes; prints tables after each, in case a long run is aborted."""
    runs = []
    for number, size in enumerate(sizes, 1):
        runs.append(_measured(*size))
        _tables(what, counts[:number], sizes, runs)


def _tables(
    what: str, counts: Sequence[int], sizes: Sequence[tuple[int, int]], runs: Sequence[dict[str, Load]]
) -> None:
    """Prints each node's time, processor time and memory, and their increase per image or class."""
    header = [f"{images:,} of {classes:,} classes" for images, classes in sizes[: len(counts)]]
    further = [f"one more, to {count:,}" for count in counts[1:]]
    for field, unit, scale, of_one_unit, of_one in (
        ("seconds", "seconds", 1.0, "ms", 1e3),
        ("processor_seconds", "seconds of processor", 1.0, "ms", 1e3),
        ("memory", "MB of memory at the peak", 1e-6, "kB", 1e-3),
    ):
        rows = []
        for node in runs[0]:
            taken = [float(getattr(run[node], field)) for run in runs]
            slopes = [
                (after - before) / (more - fewer) * of_one
                for before, after, fewer, more in zip(taken, taken[1:], counts, counts[1:], strict=False)
            ]
            rows.append([node, *(one * scale for one in taken), *slopes])
        title = f"{SIZE} px images, a run each: {unit}, and {of_one_unit} for one {what} more"
        show(f"load_{what}_{field}", title, ["node", *header, *further], rows)


def _workers(sizes: Sequence[int]) -> None:
    """Measures the nodes that Beam may run in several processes, alternating between one and two."""
    (count,) = sizes
    last = IN_PROCESSES[-1]
    rounds = [{workers: _measured(count, 10, workers, last) for workers in WORKERS} for _ in range(ROUNDS)]
    rows: list[list[object]] = []
    for node in [*IN_PROCESSES, "both"]:
        medians = []
        for workers in WORKERS:
            named = IN_PROCESSES if node not in IN_PROCESSES else (node,)
            medians.append(statistics.median(sum(one[workers][each].seconds for each in named) for one in rounds))
        rows.append([node, *medians, medians[-1] / medians[0]])
    title = f"{count:,} images of {SIZE} px: seconds, medians of {ROUNDS} rounds in turns"
    show("load_workers", title, ["node", *(f"{n} worker{'s' * (n > 1)}" for n in WORKERS), "ratio"], rows)


def _measured(count: int, classes: int, workers: int = 1, last: str = "") -> dict[str, Load]:
    """Runs the command on some images, to the end or the node ``last``; returns the load of each node and in total."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "images", count, classes)
        writing = f"from benchmarks.load import write_network; write_network({str(folder / 'network.keras')!r})"
        subprocess.run([sys.executable, "-c", writing], check=True, capture_output=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(_config(folder, workers)))
        command = [sys.executable, "-m", "pipelines.cli", "run", "--config", str(folder / "config.yaml")]
        print(f"{count:,} images of {classes:,} classes, workers: {workers}", flush=True)
        began = time.time()
        with (folder / "screen.txt").open("w") as screen:
            process = subprocess.Popen(command, stdout=screen, stderr=subprocess.STDOUT)
            with Watch(process.pid) as watch:
                status = _ended(process, folder / "out" / "events.jsonl", last)
        if status:
            raise SystemExit(f"the run ended with {status}:\n{(folder / 'screen.txt').read_text()[-4000:]}")
        nodes = Lineage(folder / "out" / METADATA_FILE).run().nodes
        taken = {TOTAL: watch.between(began, time.time())}
        for node, run in nodes.items():
            if run.started is not None and run.seconds is not None:  # otherwise it was stopped or has not run
                begins = run.started.timestamp()
                taken[node] = watch.between(begins, begins + run.seconds)
        return taken


def _ended(process: subprocess.Popen[bytes], events: Path, last: str) -> int:
    """Waits until a run ends, or stops it when the node ``last`` is done; returns the exit status."""
    while process.poll() is None:
        if last and events.exists() and f'"event": "done", "node": "{last}"' in events.read_text():
            process.terminate()
            process.wait()
            return 0
        time.sleep(0.5)
    return process.returncode


def _config(folder: Path, workers: int) -> dict[str, object]:
    return {
        "name": "load",
        "output": str(folder / "out"),
        "data": {"source": "folder", "path": str(folder / "images")},
        "backbone": {"model": str(folder / "network.keras")},
        "reference": _TRAINING,
        "search": {
            "tuner": "random", "max_trials": 4, "max_epochs": 2,
            "connections": _CONNECTIONS, "feature_memory_mb": FEATURE_MEMORY,
        },
        "retrain": _TRAINING,
        "export": {"formats": ["float32", "int8"]},
        "gate": {"min_accuracy": 0.0, "max_drop": 1.0, "max_class_drop": 1.0, "confidence": 0.95},
        "beam": {"workers": workers},
    }  # fmt: skip


def _draw(folder: Path, count: int, classes: int) -> None:
    """Writes class folders of PNGs of 3 kB, in which each class is noise around its own colour."""
    random = np.random.default_rng(0)
    colours = random.uniform(40, 215, (classes, 3))
    for number in range(count):
        label = number % classes
        pixels = random.normal(colours[label], 40, (SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
        path = folder / f"class_{label:04}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


def write_network(path: str) -> None:
    """Writes a classifier with three convolutions and random weights."""
    import keras

    from compressor_lib.networks.heads import attach_head

    keras.utils.set_random_seed(0)
    layers = keras.layers
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, -1)(images)
    for number in (1, 2, 3):
        x = layers.Conv2D(8 * 2**number, 3, 2, "same", use_bias=False, name=f"block_{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block_{number}_bn")(x)
        x = layers.ReLU(6.0, name=f"block_{number}_relu")(x)
    attach_head(keras.Model(images, x), 2).save(path)


if __name__ == "__main__":
    main()
