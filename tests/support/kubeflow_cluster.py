"""A cluster in a folder: a backend, a volume with images and a model, and a package compiled for them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from kubeflow_backend import Backend, Package, load
from kubeflow_pod import Start, fresh_process
from PIL import Image

from compressor_lib.networks.heads import attach_head
from pipelines.config.config import load_config
from pipelines.kubeflow.package import compile_package

CONFIG = """
name: on-kubeflow
output: minio://mlpipeline/v2/artifacts
data: {source: folder, path: FOLDER/images, span_pattern: "span-{SPAN}", splits: {train: 3, eval: 1, test: 1}}
backbone: {model: FOLDER/model.keras}
reference: {head_epochs: 0, epochs: 1, learning_rate: 2.0e-3, batch_norm: train}
search:
  tuner: random
  max_trials: 2
  max_epochs: 1
  connections: ["block_2_add->block_16_expand", "block_5_add->head"]
retrain: {head_epochs: 0, epochs: 1, learning_rate: 1.0e-3, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0}
push: {directory: FOLDER/serving}
volumes: [{claim: work, path: FOLDER}]
"""
IMAGES = 12
CLOTHING = Path(os.environ.get("COMPRESSOR_TEST_DATA", "../shared/data")) / "clothing" / "train"


def write_images(folder: Path) -> None:
    """Writes a span with three classes: photographs if available, otherwise noise."""
    random = np.random.default_rng(0)
    classes = sorted(path for path in CLOTHING.iterdir() if path.is_dir())[:3] if CLOTHING.is_dir() else []
    for number, name in enumerate([path.name for path in classes] or ["blue", "green", "red"]):
        (folder / name).mkdir(parents=True)
        if classes:
            for path in sorted(classes[number].iterdir())[:IMAGES]:
                shutil.copy(path, folder / name)
            continue
        for image in range(IMAGES):
            pixels = random.integers(0, 120, (40, 40, 3)) + 130 * (np.arange(3) == number)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{image}.png")


class Cluster:
    """A cluster on which nothing has run yet.

    Attributes:
        folder: The volume, mounted at the same path in pods.
        package: The pipeline, as the API server accepted it.
        backend: The backend that runs it.
    """

    def __init__(
        self,
        folder: Path,
        backbone: Callable[[], keras.Model],
        layout: str,
        image: str = "image",
        start: Start = fresh_process,
    ) -> None:
        self.folder, self._start = folder, start
        write_images(folder / "images" / "span-1")
        attach_head(backbone(), 4).save(folder / "model.keras")
        (folder / "config.yaml").write_text(CONFIG.replace("FOLDER", str(folder)))
        self.package = self.compiled(image=image)
        self.backend = self.new_backend(layout)

    def new_backend(self, layout: str, *, logs: bool = True) -> Backend:
        """Returns another backend with the same volume and object store, and an empty cache."""
        backend = Backend(self.folder, layout=layout, logs=logs)
        backend.start = self._start
        # The image's `python` is the one that has the project.
        backend.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return backend

    def compiled(self, *overrides: str, image: str = "image") -> Package:
        """Compiles the pipeline with some values replaced."""
        config = load_config(self.folder / "config.yaml", overrides)
        return load(compile_package(config, "kubeflow", image=image, code_version="0"))

    @property
    def pushed(self) -> list[Path]:
        """The pushed models, the oldest first."""
        return sorted((self.folder / "serving").glob("[0-9]*"))
