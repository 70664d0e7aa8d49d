"""What a ``.keras`` file says of its model, read without Keras and without running anything from it."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor_lib.errors import CompressorError

_RUN_OR_READ_OTHERS = (
    # Foreign code: a Python function, a SavedModel, a pickled PyTorch module, JAX's functions.
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    # Their vocabulary may be any file.
    "IntegerLookup", "StringLookup", "TextVectorization",
)  # fmt: skip

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with."""

_POLICIES = ("DTypePolicy", "DTypePolicyMap")
"""Dtypes of numbers that are as large as they look, such as mixed_float16; the others are quantised."""

_NO_SUCH_FILE = (
    # No archive, or a damaged one; an encrypted one, and a configuration that is nested too deeply.
    OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError,
    # Another configuration than Keras writes.
    LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


@dataclass(frozen=True)
class KerasFile:
    """A model that can be compressed, by its configuration.

    Attributes:
        input_size: Height and width of its images, in pixels; None if it takes any.
    """

    input_size: int | None


def read_keras_file(path: str | Path) -> KerasFile:
    """Reads the configuration in a ``.keras`` file and refuses a model that cannot be compressed.

    Args:
        path: The file, as ``model.save("model.keras")`` writes it.

    Raises:
        CompressorError: If it is no such file or one of Keras 2, or its model is not functional or Sequential, holds
            code of its own (subclasses, custom layers, Lambda layers), is quantised, or takes anything but one square
            colour image.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(_HDF5)) == _HDF5:
                raise _of_keras_2(path, "is an HDF5 file, the format of Keras 2")
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
            version = _keras_version(archive)
        if version.startswith("2."):
            raise _of_keras_2(path, f"was saved by Keras {version}")
        return _examined(model, path)
    except CompressorError:
        raise
    except _NO_SUCH_FILE as error:
        raise CompressorError(
            f"{str(path)!r} is not a .keras file ({type(error).__name__}: {error}); write one by "
            "model.save('model.keras')"
        ) from error


def _keras_version(archive: zipfile.ZipFile) -> str:
    """The release that wrote a file; nothing where the file does not say."""
    if "metadata.json" not in archive.namelist():
        return ""
    return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))


def _of_keras_2(path: str | Path, what: str) -> CompressorError:
    return CompressorError(
        f"{str(path)!r} {what}, which Keras 3 cannot read: build the network anew with Keras 3, give it the weights by "
        f"network.set_weights(tf_keras.models.load_model({str(path)!r}, compile=False).get_weights()) and save it as "
        "another .keras file (docs/how-to/own-model.md has the lines)"
    )


def _examined(model: dict[str, Any], path: str | Path) -> KerasFile:
    if model.get("class_name") not in ("Functional", "Sequential"):
        raise CompressorError(
            f"the model in {str(path)!r} is a {model.get('class_name')}, written in Python, so its graph cannot be "
            "read; build it with keras.Model(inputs, outputs) or keras.Sequential"
        )
    for layer in _layers(model):
        name = layer.get("config", {}).get("name")
        if layer["class_name"] in _RUN_OR_READ_OTHERS:
            raise CompressorError(
                f"layer {name!r} of the model in {str(path)!r} is a {layer['class_name']}, whose code is not run from "
                "a file; replace it by a layer of Keras (to rescale pixels, by Rescaling or the argument rescale)"
            )
        if not _is_of_keras(layer):
            raise CompressorError(
                f"layer {name!r} of the model in {str(path)!r} is a {layer['class_name']}, which is no layer of "
                "Keras; replace it by Keras' own"
            )
    for layer in _layers(model):
        for policy in _objects(layer.get("config", {}).get("dtype")):
            if policy["module"].startswith("keras") and policy["class_name"] not in _POLICIES:
                raise CompressorError(
                    f"layer {layer['config'].get('name')!r} of the model in {str(path)!r} is quantised "
                    f"({policy['config'].get('name', policy['class_name'])}), and rounded weights cannot be trained; "
                    "save the model as it was before quantize(); an int8 TFLite model is made later, of what is left"
                )
    model["compile_config"] = None  # which is not loaded, and may name anything
    for found in _objects(model):
        if found["class_name"] in _RUN_OR_READ_OTHERS or not _is_of_keras(found):
            raise CompressorError(
                f"the model in {str(path)!r} names {found['module']}.{found['class_name']}, which is not of Keras and "
                "is not run from a file; replace it by Keras' own"
            )
    return KerasFile(_input_size(model["config"], path))


def _layers(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every layer of a model's configuration, those of nested models included, and the model itself."""
    yield model
    for layer in model["config"].get("layers", ()):
        yield from _layers(layer)


def _is_of_keras(found: dict[str, Any]) -> bool:
    # Keras looks up what it writes as a built-in function, such as an activation, among its own.
    is_function = (found.get("module"), found["class_name"]) == ("builtins", "function")
    return is_function or (found.get("module") or "").split(".")[0] == "keras"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a configuration that Keras would import by its module's name, at any depth."""
    if isinstance(value, dict):
        if "class_name" in value and value.get("module") is not None:
            yield value
        value = value.values()
    if not isinstance(value, str | int | float | None):
        for one in value:
            yield from _objects(one)


def _input_size(config: dict[str, Any], path: str | Path) -> int | None:
    shapes = [
        layer["config"].get("batch_shape") for layer in config["layers"] if layer["class_name"] == "InputLayer"
    ] or [config.get("build_input_shape")]
    if len(shapes) != 1:
        raise CompressorError(
            f"the model in {str(path)!r} takes {len(shapes)} inputs; only a model of one image can be compressed"
        )
    shape = shapes[0]
    if shape is None or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise CompressorError(
            f"the model in {str(path)!r} takes {shape}, not square colour images [None, size, size, 3]; "
            "build it for such images"
        )
    return shape[1]
