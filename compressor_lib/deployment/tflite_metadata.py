"""TFLite metadata of a classifier, for the task libraries of Android and iOS.

Metadata describes the input and names the outputs, so that MediaPipe's ImageClassifier and code generators can use the
file without further configuration. The format is
https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs: a FlatBuffer in
the model's buffer ``TFLITE_METADATA``, and the label file in a ZIP archive appended to the model. MediaPipe's own
writer needs OpenCV and PortAudio, so this module writes the few tables that a classifier needs.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

LABELS_FILE = "labels.txt"
METADATA_NAME = "TFLITE_METADATA"

_IDENTIFIER = b"M001"
_FORMAT_VERSION = "1.0.0"

# Numbers of union members and enumeration values in metadata_schema.fbs.
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_RGB = 1
_TENSOR_AXIS_LABELS = 2

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Fixed time of the label file in the archive, so that equal models produce equal files."""


def with_metadata(tflite: bytes, class_names: Sequence[str]) -> bytes:
    """Adds metadata to a classifier's TFLite file.

    Args:
        tflite: Content of a file from :func:`compressor_lib.deployment.tflite.to_tflite`, of any precision: from one
            RGB image of pixels 0..255 to probabilities.
        class_names: The class names, in the order of the probabilities.

    Returns:
        The content of the file with metadata. Every TFLite runtime still reads it.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    (subgraph,) = model.subgraphs
    is_quantised = subgraph.tensors[subgraph.inputs[0]].type == schema.TensorType.UINT8
    metadata = schema.MetadataT()
    metadata.name = METADATA_NAME
    metadata.buffer = len(model.buffers)
    content = schema.BufferT()
    content.data = np.frombuffer(_metadata(is_quantised), np.uint8)
    model.buffers.append(content)
    model.metadata = [*(model.metadata or []), metadata]
    file = io.BytesIO(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    with zipfile.ZipFile(file, "a") as archive:
        labels = "".join(f"{name}\n" for name in class_names)
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, _EPOCH), labels.encode())
    return file.getvalue()


def labels(tflite: bytes) -> list[str] | None:
    """Returns the class names in a TFLite file's metadata, in the order of the probabilities; None without metadata."""
    try:
        with zipfile.ZipFile(io.BytesIO(tflite)) as archive:
            return archive.read(LABELS_FILE).decode().splitlines()
    except (zipfile.BadZipFile, KeyError):
        return None


def _metadata(is_quantised: bool) -> bytes:
    builder = flatbuffers.Builder()
    highest_score = 255.0 if is_quantised else 1.0
    image = _table(
        builder,
        {
            0: "image",
            1: "The image, in RGB, resized to the input's height and width.",
            3: _table(builder, {0: _UnsignedByte(_IMAGE_PROPERTIES), 1: _table(builder, {0: _Byte(_RGB)})}),
            # No normalisation: the model rescales pixels itself.
            4: [_table(builder, {0: _UnsignedByte(_NORMALIZATION_OPTIONS), 1: _floats(builder, [0.0], [1.0])})],
            5: _floats(builder, [255.0], [0.0]),
        },
    )
    labels = _table(builder, {0: LABELS_FILE, 1: "The classes' names.", 2: _Byte(_TENSOR_AXIS_LABELS)})
    probability = _table(
        builder,
        {
            0: "probability",
            1: "The probability of each class.",
            3: _table(builder, {0: _UnsignedByte(_FEATURE_PROPERTIES), 1: _table(builder, {})}),
            5: _floats(builder, [highest_score], [0.0]),
            6: [labels],
        },
    )
    subgraph = _table(builder, {2: [image], 3: [probability]})
    model = _table(
        builder,
        {
            0: "ImageClassifier",
            1: "Classifies an image into one of its classes.",
            3: [subgraph],
            7: _FORMAT_VERSION,
        },
    )
    builder.Finish(model, _IDENTIFIER)
    return bytes(builder.Output())


class _Byte(int):
    """A value of an enumeration."""


class _UnsignedByte(int):
    """The type of a union member."""


def _table(builder: flatbuffers.Builder, fields: dict[int, Any]) -> int:
    """Writes a table.

    Args:
        builder: The builder to write to.
        fields: Values by field number in the schema: text, a one-byte number, another table, or a list of tables.

    Returns:
        The table's offset.
    """
    stored = {number: _stored(builder, value) for number, value in fields.items()}
    builder.StartObject(max(fields, default=-1) + 1)
    for number, value in stored.items():
        if isinstance(value, _Byte):
            builder.PrependInt8Slot(number, value, 0)
        elif isinstance(value, _UnsignedByte):
            builder.PrependUint8Slot(number, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
    return int(builder.EndObject())


def _stored(builder: flatbuffers.Builder, value: Any) -> Any:
    """Writes the text or vector that a table refers to. It must be written before the table."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, list):
        builder.StartVector(4, len(value), 4)
        for table in reversed(value):
            builder.PrependUOffsetTRelative(table)
        return int(builder.EndVector())
    return value


def _floats(builder: flatbuffers.Builder, first: list[float], second: list[float]) -> int:
    """Writes a table of two lists: mean and standard deviation, or highest and lowest value."""
    stored = [builder.CreateNumpyVector(np.array(values, np.float32)) for values in (first, second)]
    builder.StartObject(len(stored))
    for number, vector in enumerate(stored):
        builder.PrependUOffsetTRelativeSlot(number, vector, 0)
    return int(builder.EndObject())
