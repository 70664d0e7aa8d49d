"""Predictions of each model for the test images, which the Evaluator writes next to its verdict."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tfx.dsl.io import fileio

from compressor_lib.deployment.intervals import PairedCounts
from compressor_lib.errors import CompressorError

PREDICTIONS_FILE = "predictions.npz"
"""File name in the evaluation."""

MODEL = "model"
"""The compressed model as a SavedModel. Its TFLite models are named by their precision."""
BASELINE = "baseline"
"""The model that the gate compares the compressed model with."""
REFERENCE = "reference"
"""The uncompressed model of the run."""


@dataclass(frozen=True)
class ModelPredictions:
    """Predictions of one model for ``N`` images.

    Attributes:
        classes: The model's own class names, in the order of its probabilities.
        predicted: The most likely class of each image, an index into ``classes``; ``int64 [N]``.
        probability: Probability of the predicted class; ``float32 [N]``.
        true_probability: Probability of the image's true class; NaN if the model does not have that class; ``float32
            [N]``.
    """

    classes: list[str]
    predicted: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float32]
    true_probability: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Predictions of several models for the same ``N`` images, in the order of ``images``.

    Attributes:
        classes: The class names that ``labels`` refers to.
        labels: True class of each image, an index into ``classes``; -1 if it is none of these; ``int64 [N]``.
        images: Identifier of each image: :func:`image_key` of its file.
        models: The available predictions by model name: :data:`MODEL`, :data:`BASELINE`, :data:`REFERENCE`,
            ``float32``, ``float16``, ``int8``.
    """

    classes: list[str]
    labels: npt.NDArray[np.int64]
    images: list[str]
    models: dict[str, ModelPredictions]

    def right(self, model: str) -> npt.NDArray[np.bool_]:
        """Returns which images a model classifies correctly, by class name; ``[N]``."""
        one = self.models[model]
        own = {name: number for number, name in enumerate(one.classes)}
        # An image of an unknown class never counts as correct: no model predicts -2. The last element is for label -1.
        indices = np.array([own.get(name, -2) for name in self.classes] + [-2])
        return np.asarray(indices[self.labels] == one.predicted)

    def pairs(self, new: str, old: str, among: npt.NDArray[np.bool_] | None = None) -> PairedCounts:
        """Counts the images that two models classify correctly, in pairs.

        Args:
            new: Name of the new model.
            old: Name of the old model.
            among: Mask of the images to compare, ``[N]``; None for all.
        """
        chosen = np.ones(len(self.labels), bool) if among is None else among
        after, before = self.right(new)[chosen], self.right(old)[chosen]
        return PairedCounts(
            both=int((after & before).sum()),
            gained=int((after & ~before).sum()),
            lost=int((~after & before).sum()),
            neither=int((~after & ~before).sum()),
        )

    def write(self, evaluation: str) -> None:
        """Writes the predictions to an evaluation, given by its URI, in any store."""
        content = io.BytesIO()
        names = {"classes": self.classes, "models": {name: one.classes for name, one in self.models.items()}}
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "names": np.array(json.dumps(names)),
            "labels": self.labels,
            "images": np.array(self.images, dtype="U"),
        }
        for name, one in self.models.items():
            arrays[f"{name}/predicted"] = one.predicted
            arrays[f"{name}/probability"] = one.probability
            arrays[f"{name}/true_probability"] = one.true_probability
        np.savez_compressed(content, **arrays)
        with fileio.open(os.path.join(evaluation, PREDICTIONS_FILE), "wb") as file:
            file.write(content.getvalue())

    @classmethod
    def read(cls, evaluation: str) -> Predictions:
        """Reads predictions written by :meth:`write`.

        Raises:
            CompressorError: If the file is missing or damaged.
        """
        path = os.path.join(evaluation, PREDICTIONS_FILE)
        try:
            with fileio.open(path, "rb") as file:
                arrays: Mapping[str, npt.NDArray[np.generic]] = dict(
                    np.load(io.BytesIO(file.read()), allow_pickle=False)
                )
            names = json.loads(str(arrays["names"]))
            models = {
                name: ModelPredictions(
                    classes,
                    arrays[f"{name}/predicted"],  # type: ignore[arg-type]
                    arrays[f"{name}/probability"],  # type: ignore[arg-type]
                    arrays[f"{name}/true_probability"],  # type: ignore[arg-type]
                )
                for name, classes in names["models"].items()
            }
            return cls(names["classes"], arrays["labels"], arrays["images"].tolist(), models)  # type: ignore[arg-type]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, tf.errors.OpError) as error:
            raise CompressorError(f"the predictions in {path!r} cannot be read: run the pipeline again.") from error


def image_key(encoded: bytes) -> str:
    """Returns an identifier of an image: a hash of its encoded file in the transformed Examples."""
    return hashlib.sha256(encoded).hexdigest()[:32]
