"""Finds a deployed model. Does not import TensorFlow, so that a wrong path is reported immediately."""

from __future__ import annotations

from pathlib import Path

from compressor_lib.deployment.classes_file import CLASSES_FILE
from compressor_lib.deployment.family import is_member_name
from compressor_lib.errors import CompressorError, did_you_mean

SAVED_MODEL = "saved_model.pb"
"""The file that every SavedModel's folder contains."""


def find_model(path: str | Path) -> Path:
    """Returns the path of the model in a folder or file.

    Args:
        path: A SavedModel's folder, a push directory (its newest version is used), or a ``.tflite`` file with
            ``classes.txt`` next to it.

    Returns:
        The SavedModel's folder or the ``.tflite`` file.

    Raises:
        CompressorError: If there is no such model.
    """
    path = Path(path)
    if not path.exists():
        raise CompressorError(f"model {str(path)!r} does not exist.{did_you_mean(path)}")
    if path.is_file():
        classes = path.with_name(CLASSES_FILE)
        if not classes.is_file():
            raise CompressorError(
                f"{str(classes)!r}, which names the classes of {path.name}, is missing: copy it to that path."
            )
        return path
    versions = [folder for folder in path.glob("[0-9]*") if folder.name.isdigit() and (folder / SAVED_MODEL).is_file()]
    if not (path / SAVED_MODEL).is_file() and versions:
        path = max(versions, key=lambda folder: int(folder.name))
    if not (path / SAVED_MODEL).is_file() and (family := _family_in(path)):
        raise CompressorError(
            f"folder {str(path)!r} has the models of a family, {', '.join(family)}: give the folder of one, such as "
            f"{str(path / family[0])!r}."
        )
    if not (path / SAVED_MODEL).is_file():
        raise CompressorError(
            f"folder {str(path)!r} holds no SavedModel: give one that does, a push directory, or a .tflite file."
        )
    return path


def _family_in(directory: Path) -> list[str]:
    """Returns the names of a family's models in a push directory."""
    models = {path.parent.parent.name for path in directory.glob(f"*/[0-9]*/{SAVED_MODEL}")}
    return sorted(name for name in models if is_member_name(name))
