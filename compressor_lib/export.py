"""Writes a classifier as it is deployed: SavedModel, Keras file and TFLite twin in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.pictures import CHANNELS, decode_picture, encode_picture
from compressor_lib.tflite import tflite_predict, to_tflite

EXTRA = "assets.extra"
"""A SavedModel's own folder for files that travel with it."""
KERAS_FILE = "model.keras"
TEACHER_FILE = "teacher.keras"
TFLITE_FILE = "model.tflite"
CLASSES_FILE = "classes.txt"

IMAGE_FEATURE = "image"
"""The feature of a `tf.train.Example` that holds the encoded picture."""

TOLERANCE = 1e-3
"""How far a probability of the TFLite twin may be from the SavedModel's."""


def keras_path(directory: str | Path, name: str = KERAS_FILE) -> Path:
    """Returns where an exported folder keeps a Keras file."""
    return Path(directory) / EXTRA / name


def tflite_path(directory: str | Path) -> Path:
    """Returns where an exported folder keeps its TFLite twin."""
    return Path(directory) / EXTRA / TFLITE_FILE


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


def load_keras(directory: str | Path, name: str = KERAS_FILE) -> keras.Model:
    """Loads a Keras model from an exported folder, without running code from the file.

    Args:
        directory: the folder.
        name: the file within its `assets.extra`.

    Returns:
        The model.

    Raises:
        CompressorError: if the file is missing or not a Keras model that is safe to load.
    """
    path = _existing(keras_path(directory, name))
    try:
        return keras.models.load_model(path, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CompressorError(
            f"{path} is not a Keras model that can be loaded safely: export it again. ({error})"
        ) from error


def export_classifier(
    model: keras.Model,
    class_names: Sequence[str],
    directory: str | Path,
    *,
    pictures: np.ndarray | None = None,
) -> None:
    """Writes a classifier so that TensorFlow alone can serve it.

    The SavedModel has two signatures. Both return `probabilities`, `float32 [N, C]`, and `class`,
    the likeliest one's name, `string [N]`.

    - `serving_default` takes `image_bytes`, `string [N]`: picture files of any size and kind that
      `decode_picture` reads.
    - `serving_tf_example` takes `examples`, `string [N]`: serialised `tf.train.Example`s whose
      feature `image` holds such a file; further features are ignored.

    In `assets.extra/` beside it: `model.keras`, `model.tflite` (`float32 [1, S, S, 3]`, 0..255, to
    `float32 [1, C]`) and `classes.txt`. The folder appears at once when all is written.

    Args:
        model: classifier from `float32` pictures `[N, S, S, 3]`, 0..255, to probabilities `[N, C]`.
        class_names: the `C` names, in the order of the probabilities.
        directory: a folder that does not exist yet or is empty.
        pictures: `uint8 [K, S, S, 3]` on which the TFLite twin is compared with the SavedModel's
            function; fixed noise by default.

    Raises:
        CompressorError: if the folder has content, the names do not fit the model, or the TFLite
            twin answers differently by more than `TOLERANCE`.

    Example:
        >>> export_classifier(model, ["dress", "hat"], "serving/1")
        >>> served = tf.saved_model.load("serving/1").signatures["serving_default"]
        >>> served(image_bytes=tf.constant([Path("hat.jpg").read_bytes()]))["class"]
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CompressorError(f"{directory} is not an empty folder: choose another, or empty it.")
    _check_classes(class_names, model)
    size = model.input_shape[1]
    if pictures is None:
        shape = (4, size, size, CHANNELS)
        pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    served = _serving(model, class_names)
    tflite = to_tflite(model)
    _compare(served, tflite, pictures)

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
        tflite_path(draft).write_bytes(tflite)
        classes_path(draft).write_text("".join(f"{n}\n" for n in class_names), encoding="utf-8")
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


def _compare(served: tf.Module, tflite: bytes, pictures: np.ndarray) -> None:
    encoded = tf.stack([encode_picture(picture) for picture in pictures])
    expected = served.from_bytes(encoded)["probabilities"].numpy()
    difference = float(np.abs(tflite_predict(tflite, pictures) - expected).max())
    if not difference <= TOLERANCE:
        raise CompressorError(
            f"the TFLite twin's probabilities are up to {difference:.2g} away from the "
            f"SavedModel's (allowed: {TOLERANCE:g}): a layer does not convert faithfully."
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
