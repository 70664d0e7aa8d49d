"""Writes a classifier as it is deployed: SavedModel, Keras file and TFLite twins in one folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.deployment.model_path import CLASSES_FILE
from compressor_lib.errors import CompressorError
from compressor_lib.measure import count_parameters
from compressor_lib.pictures import CHANNELS, decode_picture, encode_picture
from compressor_lib.tflite import Precision, tflite_predict, to_tflite

EXTRA = "assets.extra"
"""A SavedModel's own folder for files that travel with it."""
KERAS_FILE = "model.keras"
TEACHER_FILE = "teacher.keras"
TFLITE_FILE = "model.tflite"
FIGURES_FILE = "figures.json"

IMAGE_FEATURE = "image"
"""The feature of a `tf.train.Example` that holds the encoded picture."""

TOLERANCE = 1e-3
"""How far a probability of the float32 TFLite twin may be from the SavedModel's."""

LEAST_KEPT = 0.75
"""What a narrower twin must keep of the SavedModel's highest probabilities.

Rounding moves probabilities, now and then by much, so a narrower twin is judged by the classes it
names: their probabilities by the SavedModel, against the highest ones, each summed over the
pictures. To name the other of two classes that are equally likely costs nothing, so an untrained
model passes; a twin that does not see its pictures fails. How good it is, only a test split tells.
"""

COMPARED = 16
"""Most calibration pictures on which twins are compared with the SavedModel."""


def keras_path(directory: str | Path, name: str = KERAS_FILE) -> Path:
    """Returns where an exported folder keeps a Keras file."""
    return Path(directory) / EXTRA / name


def tflite_path(directory: str | Path, precision: Precision = "float32") -> Path:
    """Returns where an exported folder keeps its TFLite twin of a precision."""
    file = TFLITE_FILE if precision == "float32" else f"model_{precision}.tflite"
    return Path(directory) / EXTRA / file


def tflite_paths(directory: str | Path) -> dict[str, Path]:
    """Returns the TFLite twins that an exported folder holds, by precision, float32 first."""
    paths = {precision: tflite_path(directory, precision) for precision in get_args(Precision)}
    return {precision: path for precision, path in paths.items() if path.is_file()}


def classes_path(directory: str | Path) -> Path:
    """Returns where an exported folder keeps the class names, one a line, in UTF-8."""
    return Path(directory) / EXTRA / CLASSES_FILE


def read_classes(directory: str | Path) -> list[str]:
    """Reads the class names of an exported folder, in the order of the probabilities.

    Raises:
        CompressorError: if the folder has none.
    """
    path = _existing(classes_path(directory))
    return path.read_text(encoding="utf-8").splitlines()


def read_parameters(directory: str | Path) -> int:
    """Reads how many parameters the model of an exported folder has, without loading it.

    Raises:
        CompressorError: if the folder does not tell.
    """
    path = _existing(Path(directory) / EXTRA / FIGURES_FILE)
    return int(json.loads(path.read_text(encoding="utf-8"))["parameters"])


def load_keras(directory: str | Path, name: str = KERAS_FILE) -> keras.Model:
    """Loads a Keras model from an exported folder, without running code from the file.

    Args:
        directory: the folder.
        name: the file within its `assets.extra`.

    Returns:
        The model, not compiled.

    Raises:
        CompressorError: if the file is missing or not a Keras model that is safe to load.
    """
    path = _existing(keras_path(directory, name))
    try:
        # What it was compiled with may need classes that this process has not imported.
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CompressorError(
            f"{path} is not a Keras model that can be loaded safely: export it again. ({error})"
        ) from error


def export_classifier(
    model: keras.Model,
    class_names: Sequence[str],
    directory: str | Path,
    *,
    formats: Sequence[Precision] = ("float32",),
    calibration: np.ndarray | None = None,
) -> None:
    """Writes a classifier so that TensorFlow alone can serve it.

    The SavedModel has two signatures. Both return `probabilities`, `float32 [N, C]`, and `class`,
    the likeliest one's name, `string [N]`.

    - `serving_default` takes `image_bytes`, `string [N]`: picture files of any size and kind that
      `decode_picture` reads.
    - `serving_tf_example` takes `examples`, `string [N]`: serialised `tf.train.Example`s whose
      feature `image` holds such a file; further features are ignored.

    In `assets.extra/` beside it: `model.keras`, `classes.txt`, `figures.json` (the number of
    parameters) and the TFLite twins, as `to_tflite` makes them: `model.tflite` in float32, always,
    and on request `model_float16.tflite` and `model_int8.tflite`. The folder appears at once when
    all is written.

    Args:
        model: classifier from `float32` pictures `[N, S, S, 3]`, 0..255, to probabilities `[N, C]`.
        class_names: the `C` names, in the order of the probabilities.
        directory: a folder that does not exist yet or is empty.
        formats: precisions of the TFLite twins; float32 is written whether it is named or not.
        calibration: `uint8 [K, S, S, 3]`, which int8 needs: some of the training pictures. The
            twins are compared with the SavedModel's function on the first few; without them, on
            fixed noise.

    Raises:
        CompressorError: if the folder has content, the names do not fit the model, a format is
            unknown or lacks its calibration, or a TFLite twin answers differently: in float32 by
            more than `TOLERANCE`, in others so that less than `LEAST_KEPT` is kept.

    Example:
        >>> export_classifier(model, ["dress", "hat"], "serving/1")
        >>> served = tf.saved_model.load("serving/1").signatures["serving_default"]
        >>> served(image_bytes=tf.constant([Path("hat.jpg").read_bytes()]))["class"]
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CompressorError(f"{directory} is not an empty folder: choose another, or empty it.")
    _check_classes(class_names, model)
    served = _serving(model, class_names)
    twins = {
        precision: to_tflite(model, precision=precision, calibration=calibration)
        for precision in dict.fromkeys(("float32", *formats))
    }
    _compare(served, twins, _noise(model.input_shape[1]) if calibration is None else calibration[:COMPARED])

    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    try:
        tf.saved_model.save(
            served,
            str(draft),
            signatures={
                "serving_default": served.from_bytes,
                "serving_tf_example": served.from_examples,
            },
        )
        (draft / EXTRA).mkdir()
        model.save(keras_path(draft))
        for precision, tflite in twins.items():
            tflite_path(draft, precision).write_bytes(tflite)
        classes_path(draft).write_text("".join(f"{n}\n" for n in class_names), encoding="utf-8")
        figures = {"parameters": count_parameters(model)}
        (draft / EXTRA / FIGURES_FILE).write_text(json.dumps(figures) + "\n", encoding="utf-8")
        draft.replace(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _serving(model: keras.Model, class_names: Sequence[str]) -> tf.Module:
    """Builds the functions of the SavedModel."""
    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = tf.map_fn(
            lambda encoded: decode_picture(encoded, size),
            image_bytes,
            fn_output_signature=tf.TensorSpec((size, size, CHANNELS), tf.uint8),
        )
        probabilities = model(tf.cast(pictures, tf.float32), training=False)
        likeliest = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "class": tf.gather(tf.constant(list(class_names)), likeliest),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def from_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string)}
        return from_bytes(tf.io.parse_example(examples, features)[IMAGE_FEATURE])

    served = tf.Module()
    # The variables alone: Keras's own objects would be saved, and warned about, for nothing.
    served.weights = [weight.value for weight in model.weights]
    served.from_bytes, served.from_examples = from_bytes, from_examples
    return served


def _noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, size, size, CHANNELS), dtype=np.uint8)


def _compare(served: tf.Module, twins: Mapping[Precision, bytes], pictures: np.ndarray) -> None:
    encoded = tf.stack([encode_picture(picture) for picture in pictures])
    expected = served.from_bytes(encoded)["probabilities"].numpy()
    for precision, tflite in twins.items():
        answers = tflite_predict(tflite, pictures)
        if precision == "float32":
            _check_probabilities(answers, expected)
        else:
            _check_answers(answers, expected, precision)


def _check_probabilities(answers: np.ndarray, expected: np.ndarray) -> None:
    difference = float(np.abs(answers - expected).max())
    if not difference <= TOLERANCE:
        raise CompressorError(
            f"the TFLite twin's probabilities are up to {difference:.2g} away from the "
            f"SavedModel's (allowed: {TOLERANCE:g}): a layer does not convert faithfully."
        )


def _check_answers(answers: np.ndarray, expected: np.ndarray, precision: Precision) -> None:
    named = np.take_along_axis(expected, answers.argmax(axis=-1)[:, None], axis=-1)
    kept = float(named.sum() / expected.max(axis=-1).sum())
    if not kept >= LEAST_KEPT:
        raise CompressorError(
            f"the classes that the {precision} TFLite twin names keep {kept:.0%} of the SavedModel's "
            f"highest probabilities (at least: {LEAST_KEPT:.0%}): leave out this format."
        )


def _check_classes(class_names: Sequence[str], model: keras.Model) -> None:
    classes = model.output_shape[-1]
    if len(class_names) != classes:
        raise CompressorError(f"{len(class_names)} class names for a model of {classes} classes: give one for each.")
    if len(set(class_names)) != classes:
        raise CompressorError("two classes have the same name: make the class names differ.")
    for name in class_names:
        if name.splitlines() != [name]:
            raise CompressorError(f"class name {name!r} is not one line of text: rename it.")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CompressorError(f"{path} is missing: give the folder of an exported model.")
    return path
