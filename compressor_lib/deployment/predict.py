"""Predictions of a deployed classifier, from a SavedModel or a TFLite file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from compressor_lib.deployment.classes_file import CLASSES_FILE, read_classes_file
from compressor_lib.deployment.export import classes_path
from compressor_lib.deployment.image_check import UnreadableImage, decodable
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.literal_path import literal_path
from compressor_lib.deployment.model_path import find_model
from compressor_lib.deployment.tflite import tflite_interpreter, tflite_predict
from compressor_lib.deployment.tflite_metadata import labels
from compressor_lib.errors import CompressorError, did_you_mean


@dataclass(frozen=True)
class Classifier:
    """A deployed classifier.

    Attributes:
        path: Path of the model.
        classes: The ``C`` class names.
        probabilities: Function from the bytes of a JPEG, PNG or GIF file to ``float32 [C]``.

    Example:
        >>> classifier = load_classifier("runs/pictures/serving")
        >>> classifier.predict(Path("hat.jpg"))
        {'hat': 0.98, 'dress': 0.02}
    """

    path: Path
    classes: list[str]
    probabilities: Callable[[bytes], npt.NDArray[np.float32]]

    def predict(self, image: Path) -> dict[str, float]:
        """Classifies one image, decoded exactly as in training.

        Args:
            image: An image file of any size, in any supported format, see
                :mod:`compressor_lib.deployment.image_suffixes`.

        Returns:
            The probabilities by class, the most likely class first.

        Raises:
            CompressorError: If the file does not exist or is not a supported image.
        """
        try:
            # No limit of pixels: the user chose the file, and the limit may have been higher in training.
            output = self.probabilities(decodable(image.read_bytes(), max_pixels=None).encoded)
        except FileNotFoundError:
            raise CompressorError(f"image {str(image)!r} does not exist.{did_you_mean(image)}") from None
        except OSError as error:
            raise CompressorError(f"image {str(image)!r} cannot be read: {error.strerror}.") from error
        except UnreadableImage as error:
            raise CompressorError(f"image {str(image)!r} cannot be decoded ({error}): save it again.") from error
        return {self.classes[number]: float(output[number]) for number in np.argsort(-output, kind="stable")}


def load_classifier(path: str | Path) -> Classifier:
    """Loads a pushed or exported model.

    Args:
        path: A SavedModel's folder, a push directory (its newest version is used), or a ``.tflite`` file of any
            precision with ``classes.txt`` next to it.

    Raises:
        CompressorError: If there is no such model, or ``classes.txt`` does not match its classes.
    """
    found = find_model(path)
    return _from_tflite(found) if found.is_file() else _from_saved_model(found)


def _from_saved_model(path: Path) -> Classifier:
    try:
        with literal_path(path) as literal:
            loaded = tf.saved_model.load(literal)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise CompressorError(f"the SavedModel in {str(path)!r} cannot be loaded: push or export it again.") from error

    def probabilities(encoded: bytes) -> npt.NDArray[np.float32]:
        output = loaded.signatures["serving_default"](image_bytes=tf.constant([encoded]))
        return np.asarray(output["probabilities"][0])

    (count,) = loaded.signatures["serving_default"].structured_outputs["probabilities"].shape[1:]
    return Classifier(path, _checked(read_classes_file(classes_path(path)), path, count), probabilities)


def _from_tflite(path: Path) -> Classifier:
    content = path.read_bytes()
    try:
        interpreter = tflite_interpreter(content)
        size = int(interpreter.get_input_details()[0]["shape"][1])
        count = int(interpreter.get_output_details()[0]["shape"][1])
    except (ValueError, RuntimeError, IndexError) as error:
        raise CompressorError(
            f"{str(path)!r} is not a TFLite model: give a .tflite file or a SavedModel's folder."
        ) from error
    return Classifier(
        path,
        _checked(read_classes_file(path.with_name(CLASSES_FILE)), path, count, labels(content)),
        lambda encoded: tflite_predict(content, decode_image(encoded, size).numpy()[None])[0],
    )


def _checked(classes: list[str], path: Path, count: int, own: list[str] | None = None) -> list[str]:
    """Checks that the names in ``classes.txt`` match the model's number of outputs, and its own class names if any.

    Raises:
        CompressorError: If they do not match.
    """
    if own not in (None, classes) or len(classes) != count:
        mismatch = f"{len(classes)} classes, but the model has {count}"
        if own is not None and len(own) == len(classes):
            mismatch = f"the classes {', '.join(classes)}, but the model has {', '.join(own)}, in this order"
        raise CompressorError(
            f"{CLASSES_FILE} of {str(path)!r} names {mismatch}: restore the {CLASSES_FILE} that came with the model."
        )
    return classes
