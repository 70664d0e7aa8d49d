"""Exports a classifier for deployment: SavedModel, Keras file and TFLite models in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.deployment.classes_file import CLASSES_FILE, format_classes, read_classes_file
from compressor_lib.deployment.conversion import Conversions, convert
from compressor_lib.deployment.images import CHANNELS, decode_image
from compressor_lib.deployment.literal_path import literal_path
from compressor_lib.deployment.measure import count_parameters
from compressor_lib.deployment.model_metrics import EXTRA, ModelMetrics, write_figures
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.sized_images import encoded_at, image_features
from compressor_lib.errors import CompressorError

KERAS_FILE = "model.keras"
TEACHER_FILE = "teacher.keras"
TFLITE_FILE = "model.tflite"


def keras_path(directory: str | Path, name: str = KERAS_FILE) -> Path:
    """Returns the path of a Keras file in an exported folder."""
    return Path(directory) / EXTRA / name


def tflite_path(directory: str | Path, precision: str = "float32") -> Path:
    """Returns the path of the TFLite model with the given precision in an exported folder."""
    file = TFLITE_FILE if precision == "float32" else f"model_{precision}.tflite"
    return Path(directory) / EXTRA / file


def tflite_paths(directory: str | Path) -> dict[str, Path]:
    """Returns the paths of the TFLite models in an exported folder, by precision, float32 first."""
    paths = {precision: tflite_path(directory, precision) for precision in get_args(Precision)}
    return {precision: path for precision, path in paths.items() if path.is_file()}


def classes_path(directory: str | Path) -> Path:
    """Returns the path of the class names in an exported folder."""
    return Path(directory) / EXTRA / CLASSES_FILE


def read_classes(directory: str | Path) -> list[str]:
    """Reads the class names of an exported folder, in the order of the probabilities.

    Raises:
        CompressorError: If the folder has no class names, or the file is not UTF-8.
    """
    return read_classes_file(classes_path(directory))


def load_keras(directory: str | Path, name: str = KERAS_FILE) -> keras.Model:
    """Loads a Keras model from an exported folder, without running code from the file.

    Args:
        directory: The exported folder.
        name: The file's name in ``assets.extra``.

    Returns:
        The model, not compiled.

    Raises:
        CompressorError: If the file is missing or is not a Keras model that is safe to load.
    """
    path = _existing(keras_path(directory, name))
    try:
        # Compiling may need classes that this process has not imported.
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CompressorError(
            f"{path} is not a Keras model that can be loaded safely: export it again. ({error})."
        ) from error


def export_classifier(
    model: keras.Model,
    class_names: Sequence[str],
    directory: str | Path,
    *,
    formats: Sequence[Precision] = ("float32",),
    calibration: np.ndarray | None = None,
) -> None:
    """Exports a classifier as a SavedModel, which needs only TensorFlow to serve, and as TFLite models for devices.

    The folder is the one that :func:`export_saved_model` writes, plus the TFLite models from :func:`add_tflite`: always
    ``model.tflite`` in float32, and on request ``model_float16.tflite`` and ``model_int8.tflite``. The folder appears
    only when it is complete.

    Args:
        model: Classifier from ``float32`` images ``[N, S, S, 3]``, 0..255, to probabilities ``[N, C]``.
        class_names: The ``C`` class names, in the order of the probabilities.
        directory: A folder that does not exist yet or is empty.
        formats: Precisions of the TFLite models. float32 is always written.
        calibration: ``uint8 [K, S, S, 3]``, some of the training images, required for int8.

    Raises:
        CompressorError: If the folder is not empty, the names do not fit the model, or a TFLite model cannot be made,
            see :func:`add_tflite`.

    Example:
        >>> export_classifier(model, ["dress", "hat"], "serving/1")
        >>> served = tf.saved_model.load("serving/1").signatures["serving_default"]
        >>> served(image_bytes=tf.constant([Path("hat.jpg").read_bytes()]))["class"]
    """
    served = _serving(model, _checked(class_names, model))
    with _draft(directory) as draft:
        _write(served, model, class_names, draft)
        precisions = list(dict.fromkeys(("float32", *formats)))
        conversions = convert(model, class_names, served.from_bytes, formats=precisions, calibration=calibration)
        _write_tflite(conversions.files, draft)


def export_saved_model(model: keras.Model, class_names: Sequence[str], directory: str | Path) -> None:
    """Exports a classifier as a SavedModel, which needs only TensorFlow to serve.

    The SavedModel has two signatures. Both return ``probabilities``, ``float32 [N, C]``, and ``class``, the name of the
    most likely class, ``string [N]``.

    - ``serving_default`` takes ``image_bytes``, ``string [N]``: image files of any size and any format that
      ``decode_image`` reads.
    - ``serving_tf_example`` takes ``examples``, ``string [N]``: serialised ``tf.train.Example`` protos whose feature
      ``image`` holds such a file. If a feature holds the image at the model's size, such as ``image_96``, that one is
      read, see :mod:`compressor_lib.deployment.sized_images`. Other features are ignored.

    The subfolder ``assets.extra/`` holds ``model.keras``, ``classes.txt`` and ``figures.json``, see
    :mod:`compressor_lib.deployment.model_metrics`. The folder appears only when it is complete.

    Args:
        model: Classifier from ``float32`` images ``[N, S, S, 3]``, 0..255, to probabilities ``[N, C]``.
        class_names: The ``C`` class names, in the order of the probabilities.
        directory: A folder that does not exist yet or is empty.

    Raises:
        CompressorError: If the folder is not empty, or the names do not fit the model.
    """
    served = _serving(model, _checked(class_names, model))
    with _draft(directory) as draft:
        _write(served, model, class_names, draft)


def add_tflite(
    directory: str | Path, *, formats: Sequence[Precision], calibration: np.ndarray | None = None
) -> Conversions:
    """Adds TFLite models with metadata to an exported folder. A precision that fails is left out.

    Args:
        directory: A folder written by :func:`export_saved_model`.
        formats: Precisions of the TFLite models.
        calibration: ``uint8 [K, S, S, 3]``, some of the training images, required for int8. The TFLite models are
            compared with the SavedModel on the first few of these images, or on fixed noise without them.

    Returns:
        The contents of the files, and the reasons for missing ones: the model does not convert, or its float32
        predictions differ from the SavedModel's. Predictions of other precisions are not checked here; the gate judges
        them.

    Raises:
        CompressorError: If the folder holds no exported model, a format is unknown, or its calibration images are
            missing.
    """
    with literal_path(directory) as literal:
        served = tf.saved_model.load(literal).signatures["serving_default"]
    conversions = convert(
        load_keras(directory),
        read_classes(directory),
        served,
        formats=formats,
        calibration=calibration,
        is_gated=True,
    )
    _write_tflite(conversions.files, directory)
    return conversions


@contextmanager
def _draft(directory: str | Path) -> Iterator[Path]:
    """Yields a draft folder and renames it to the given one at the end. On an error, the draft is removed."""
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CompressorError(f"{directory} is not an empty folder: choose another, or empty it.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    try:
        yield draft
        draft.replace(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(served: tf.Module, model: keras.Model, class_names: Sequence[str], draft: Path) -> None:
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
    classes_path(draft).write_bytes(format_classes(class_names))
    write_figures(draft, ModelMetrics(count_parameters(model), input_size=model.input_shape[1]))


def _write_tflite(files: Mapping[str, bytes], directory: str | Path) -> None:
    for precision, content in files.items():
        tflite_path(directory, precision).write_bytes(content)


def _serving(model: keras.Model, class_names: Sequence[str]) -> tf.Module:
    """Builds the functions of the SavedModel."""
    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(
            lambda encoded: decode_image(encoded, size),
            image_bytes,
            fn_output_signature=tf.TensorSpec((size, size, CHANNELS), tf.uint8),
        )
        probabilities = model(tf.cast(images, tf.float32), training=False)
        likeliest = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "class": tf.gather(tf.constant(list(class_names)), likeliest),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def from_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return from_bytes(encoded_at(tf.io.parse_example(examples, image_features(size)), size))

    served = tf.Module()
    # Only the variables: saving Keras' own objects takes space and logs warnings, without any benefit.
    served.weights = [weight.value for weight in model.weights]
    served.from_bytes, served.from_examples = from_bytes, from_examples
    return served


def _checked(class_names: Sequence[str], model: keras.Model) -> Sequence[str]:
    classes = model.output_shape[-1]
    if len(class_names) != classes:
        raise CompressorError(f"{len(class_names)} class names for a model of {classes} classes: give one for each.")
    if len(set(class_names)) != classes:
        raise CompressorError("two classes have the same name: make the class names differ.")
    for name in class_names:
        if name.splitlines() != [name]:
            raise CompressorError(f"class name {name!r} is not one line of text: rename it.")
    return class_names


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CompressorError(f"{path} is missing: give the folder of an exported model.")
    return path
