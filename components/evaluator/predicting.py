"""Stores each model's predictions in TFMA's pass, and runs models that TFMA does not run, such as TFLite models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.constants import BASELINE_KEY, CANDIDATE_KEY
from tfx.dsl.io import fileio

from components.artifacts.predictions import BASELINE, MODEL, ModelPredictions, Predictions, image_key
from components.evaluator.tfma_config import LABEL, PROBABILITIES, SIGNATURE
from components.storage.examples import decode_images
from compressor_lib.deployment.sized_images import IMAGE_FEATURE
from compressor_lib.deployment.tflite import tflite_interpreter, tflite_predict
from compressor_lib.support.control_groups import usable_threads

_ROWS = "rows"
"""Folder in the evaluation that Beam's workers write to. It is deleted once everything is read."""

_AT_ONCE = 64
"""Number of images decoded at a time."""

_TFMA_NAMES = {MODEL: CANDIDATE_KEY, BASELINE: BASELINE_KEY}

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class KeptModel:
    """A model whose predictions are stored.

    Attributes:
        classes: Its class names.
        path: A TFLite file or SavedModel's folder in any store, which this module runs; None if TFMA runs the model.
    """

    classes: list[str]
    path: str | None = None


def keeping_extractor(
    models: Mapping[str, KeptModel], classes: Sequence[str], evaluation: str
) -> tfma.extractors.Extractor:
    """Returns an extractor to follow TFMA's predictions. It writes a row for each image and passes everything on.

    Args:
        models: Models by their names in :class:`components.artifacts.predictions.Predictions`.
        classes: Class names, by label.
        evaluation: URI of the evaluation that the rows are written to.
    """
    return tfma.extractors.Extractor(stage_name="KeepPredictions", ptransform=_Keep(models, classes, evaluation))


def kept_predictions(models: Mapping[str, KeptModel], classes: Sequence[str], evaluation: str) -> Predictions:
    """Reads the rows that the workers wrote, deletes the files, and returns the predictions in a fixed order."""
    folder = os.path.join(evaluation, _ROWS)
    rows = []
    for path in fileio.glob(os.path.join(folder, "*")):
        with fileio.open(path) as file:
            rows += [json.loads(line) for line in file.read().splitlines()]
    rows.sort(key=lambda row: (row["image"], row["label"]))
    if fileio.exists(folder):
        fileio.rmtree(folder)
    kept = {}
    for name, one in models.items():
        columns = list(zip(*(row["models"][name] for row in rows), strict=True)) or [(), (), ()]
        kept[name] = ModelPredictions(
            one.classes,
            np.array(columns[0], np.int64),
            np.array(columns[1], np.float32),
            np.array(columns[2], np.float32),
        )
    labels = np.array([row["label"] for row in rows], np.int64)
    return Predictions(list(classes), labels, [row["image"] for row in rows], kept)


class _Keep(beam.PTransform):
    """Passes extracts on unchanged and writes a file of rows."""

    def __init__(self, models: Mapping[str, KeptModel], classes: Sequence[str], evaluation: str) -> None:
        super().__init__()
        self._rows, self._folder = _Rows(models, classes), os.path.join(evaluation, _ROWS)

    def expand(self, extracts: beam.PCollection[tfma.Extracts]) -> beam.PCollection[tfma.Extracts]:
        _ = (
            extracts
            | "Rows" >> beam.ParDo(self._rows)
            | "Write" >> beam.io.WriteToText(os.path.join(self._folder, "row"), file_name_suffix=".jsonl")
        )
        return extracts


class _Rows(beam.DoFn):
    """Maps a batch of extracts to a line of JSON for each image."""

    def __init__(self, models: Mapping[str, KeptModel], classes: Sequence[str]) -> None:
        self._models, self._classes = dict(models), list(classes)
        self._asked: dict[str, Callable[[Sequence[bytes]], Probabilities]] = {}

    def setup(self) -> None:
        """Loads the models that TFMA does not run."""
        self._asked = {name: _loaded(one.path) for name, one in self._models.items() if one.path}

    def process(self, extracts: tfma.Extracts) -> Iterator[str]:
        """Runs the models and yields their predictions."""
        records = [bytes(one) for one in np.asarray(extracts[tfma.INPUT_KEY], object).ravel()]
        if not records:
            return
        features = {
            IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
        }
        parsed = tf.io.parse_example(records, features)
        labels = [label if 0 <= label < len(self._classes) else -1 for label in parsed[LABEL].numpy().tolist()]
        predictions: list[dict[str, tuple[int, float, float | None]]] = [{} for _ in records]
        for name, one in self._models.items():
            probabilities = self._asked[name](records) if one.path else self._of_tfma(extracts, name)
            own = {class_name: number for number, class_name in enumerate(one.classes)}
            for place, (label, given) in enumerate(zip(labels, probabilities, strict=True)):
                likeliest = int(given.argmax())
                true = own.get(self._classes[label]) if label >= 0 else None
                predictions[place][name] = (
                    likeliest,
                    float(given[likeliest]),
                    float("nan") if true is None else float(given[true]),
                )
        for encoded, label, models in zip(parsed[IMAGE_FEATURE].numpy(), labels, predictions, strict=True):
            yield json.dumps({"image": image_key(encoded), "label": label, "models": models})

    @staticmethod
    def _of_tfma(extracts: tfma.Extracts, name: str) -> Probabilities:
        predictions: Any = extracts[tfma.PREDICTIONS_KEY]
        # With a single model, TFMA does not use its name.
        predictions = predictions.get(_TFMA_NAMES[name], predictions)
        return np.asarray(predictions[PROBABILITIES])


def _loaded(path: str) -> Callable[[Sequence[bytes]], Probabilities]:
    """Loads a model as a function from serialised Examples to probabilities ``[N, C]``."""
    if not path.endswith(".tflite"):
        signature = tf.saved_model.load(path).signatures[SIGNATURE]
        return _in_batches(lambda records: signature(examples=tf.constant(records))[PROBABILITIES].numpy())
    with fileio.open(path, "rb") as file:
        content = file.read()
    size = int(tflite_interpreter(content).get_input_details()[0]["shape"][1])
    return _in_batches(
        lambda records: tflite_predict(content, decode_images(records, size), num_threads=usable_threads())
    )


def _in_batches(predict: Callable[[Sequence[bytes]], Probabilities]) -> Callable[[Sequence[bytes]], Probabilities]:
    """Limits the number of images that are decoded at once."""
    return lambda records: np.concatenate(
        [predict(records[first : first + _AT_ONCE]) for first in range(0, len(records), _AT_ONCE)]
    )
