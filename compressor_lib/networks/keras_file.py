"""Checks the model in a ``.keras`` file without importing Keras and without running code from the file."""

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
    # Custom code: Python functions, SavedModels, pickled PyTorch modules, JAX functions.
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    # These load their vocabulary from any file.
    "IntegerLookup", "StringLookup", "TextVectorization",
)  # fmt: skip

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

_POLICIES = ("DTypePolicy", "DTypePolicyMap")
"""Dtypes that are not quantised."""

_NO_SUCH_FILE = (
    # Not an archive, damaged, encrypted, or nested too deeply.
    OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError,
    # Not a configuration that Keras writes.
    LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


@dataclass(frozen=True)
class KerasFile:
    """The configuration of a model that can be compressed.

    Attributes:
        input_size: Height and width of the images, in pixels; None if the model takes any size.
    """

    input_size: int | None


def read_keras_file(path: str | Path) -> KerasFile:
    """Reads the configuration in a ``.keras`` file and rejects a model that cannot be compressed.

    Args:
        path: A file written by ``model.save("model.keras")``.

    Raises:
        CompressorError: If the path is not a ``.keras`` file or was saved by Keras 2, or if its model is not functional
            or Sequential, contains custom code (subclasses, custom layers, Lambda layers), is quantised, or does not
            take one square colour image.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(_HDF5)) == _HDF5:
                raise _saved_by_keras_2(path, "is an HDF5 file, the format of Keras 2")
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
            version = _keras_version(archive)
        if version.startswith("2."):
            raise _saved_by_keras_2(path, f"was saved by Keras {version}")
        return _examined(model, path)
    except CompressorError:
        raise
    except _NO_SUCH_FILE as error:
        raise CompressorError(
            f"{str(path)!r} is not a .keras file ({type(error).__name__}: {error}); write one by "
            "model.save('model.keras')."
        ) from error


def _keras_version(archive: zipfile.ZipFile) -> str:
    """Returns the Keras release that wrote a file, or an empty string if the file does not say."""
    if "metadata.json" not in archive.namelist():
        return ""
    return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))


def _saved_by_keras_2(path: str | Path, what: str) -> CompressorError:
    return CompressorError(
        f"{str(path)!r} {what}, which Keras 3 cannot read: rebuild the network with Keras 3, copy the weights with "
        f"network.set_weights(tf_keras.models.load_model({str(path)!r}, compile=False).get_weights()) and save it as "
        "a new .keras file (docs/how-to/own-model.md has the code)."
    )


def _examined(model: dict[str, Any], path: str | Path) -> KerasFile:
    if model.get("class_name") not in ("Functional", "Sequential"):
        raise CompressorError(
            f"the model in {str(path)!r} is a {model.get('class_name')}, a custom Python class, so its graph cannot be "
            "read; build it with keras.Model(inputs, outputs) or keras.Sequential."
        )
    for layer in _layers(model):
        name = layer.get("config", {}).get("name")
        if layer["class_name"] in _RUN_OR_READ_OTHERS:
            raise CompressorError(
                f"layer {name!r} of the model in {str(path)!r} is a {layer['class_name']}; code stored in a file is "
                "not run. Replace it with a Keras layer (to rescale pixels, use Rescaling or the argument rescale)."
            )
        if not _is_from_keras(layer):
            raise CompressorError(
                f"layer {name!r} of the model in {str(path)!r} is a {layer['class_name']}, which is not a "
                "Keras layer; replace it with one of Keras' own."
            )
    for layer in _layers(model):
        for policy in _objects(layer.get("config", {}).get("dtype")):
            if policy["module"].startswith("keras") and policy["class_name"] not in _POLICIES:
                raise CompressorError(
                    f"layer {layer['config'].get('name')!r} of the model in {str(path)!r} is quantised "
                    f"({policy['config'].get('name', policy['class_name'])}), and quantised weights cannot be trained; "
                    "save the model before calling quantize(). The compressed model can be converted to int8 later."
                )
    model["compile_config"] = None  # it is not loaded, so it may name anything
    for found in _objects(model):
        if found["class_name"] in _RUN_OR_READ_OTHERS or not _is_from_keras(found):
            raise CompressorError(
                f"the model in {str(path)!r} names {found['module']}.{found['class_name']}, which is not part of "
                "Keras; code stored in a file is not run. Replace it with Keras' own."
            )
    return KerasFile(_input_size(model["config"], path))


def _layers(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields every layer of a model's configuration, including nested models, and the model itself."""
    yield model
    for layer in model["config"].get("layers", ()):
        yield from _layers(layer)


def _is_from_keras(found: dict[str, Any]) -> bool:
    # Keras resolves what it writes as a built-in function, such as an activation, to its own functions.
    is_function = (found.get("module"), found["class_name"]) == ("builtins", "function")
    return is_function or (found.get("module") or "").split(".")[0] == "keras"


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yields everything in a configuration that Keras would import by module name, at any depth."""
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
            f"the model in {str(path)!r} takes {len(shapes)} inputs; only a model of one image can be compressed."
        )
    shape = shapes[0]
    if shape is None or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
        raise CompressorError(
            f"the model in {str(path)!r} takes {shape}, not square colour images [None, size, size, 3]; "
            "build it for such images."
        )
    return shape[1]
