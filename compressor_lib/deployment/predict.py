"""Answers of a deployed classifier, whether SavedModel or TFLite."""

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
        path: What it was loaded from.
        classes: Names of its `C` classes.
        probabilities: From the bytes of a JPEG, PNG or GIF to `float32 [C]`.

    Example:
        >>> classifier = load_classifier("runs/pictures/serving")
        >>> classifier.predict(Path("hat.jpg"))
        {'hat': 0.98, 'dress': 0.02}
    """

    path: Path
    classes: list[str]
    probabilities: Callable[[bytes], npt.NDArray[np.float32]]

    def predict(self, image: Path) -> dict[str, float]:
        """Looks at one image, with the pixels that training gives a file of its kind.

        Args:
            image: A file of any kind that is trained on, see :mod:`compressor_lib.deployment.image_suffixes`, and of
                any size.

        Returns:
            The classes' probabilities, the likeliest first.

        Raises:
            CompressorError: If it is not there, or no such image.
        """
        try:
            # No limit of pixels: the user has named the file, and training may have had a higher one.
            answer = self.probabilities(decodable(image.read_bytes(), max_pixels=None).encoded)
        except FileNotFoundError:
            raise CompressorError(f"image {str(image)!r} does not exist.{did_you_mean(image)}") from None
        except OSError as error:
            raise CompressorError(f"image {str(image)!r} cannot be read: {error.strerror}.") from error
        except UnreadableImage as error:
            raise CompressorError(f"image {str(image)!r} cannot be decoded ({error}): save it anew.") from error
        return {self.classes[number]: float(answer[number]) for number in np.argsort(-answer, kind="stable")}


def load_classifier(path: str | Path) -> Classifier:
    """Loads a model as it was pushed or exported.

    Args:
        path: A SavedModel's folder; a push directory, whose newest version is taken; or a `.tflite` file of any
            precision, with `classes.txt` beside it.

    Raises:
        CompressorError: If there is no such model, or `classes.txt` names other classes than it has.
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
        answer = loaded.signatures["serving_default"](image_bytes=tf.constant([encoded]))
        return np.asarray(answer["probabilities"][0])

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
            f"{str(path)!r} is no TFLite model: give a .tflite file or a SavedModel's folder."
        ) from error
    return Classifier(
        path,
        _checked(read_classes_file(path.with_name(CLASSES_FILE)), path, count, labels(content)),
        lambda encoded: tflite_predict(content, decode_image(encoded, size).numpy()[None])[0],
    )


def _checked(classes: list[str], path: Path, count: int, own: list[str] | None = None) -> list[str]:
    """Holds the names in `classes.txt` against the model: their number, and its own names where it has any.

    Raises:
        CompressorError: If they are not the model's.
    """
    if own not in (None, classes) or len(classes) != count:
        said = f"{len(classes)} classes, but the model has {count}"
        if own is not None and len(own) == len(classes):
            said = f"the classes {', '.join(classes)}, but the model has {', '.join(own)}, in this order"
        raise CompressorError(
            f"{CLASSES_FILE} of {str(path)!r} names {said}: put back the {CLASSES_FILE} that came with the model."
        )
    return classes
