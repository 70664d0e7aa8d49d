"""Reads Examples and their classes from TFRecord files."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from google.protobuf.message import DecodeError

from components.storage.beam_hooks import read_record
from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_label import class_label


def read_records(path: str) -> Iterator[bytes]:
    """Reads the records of one file.

    Args:
        path: A TFRecord file, local or remote, without patterns; gzipped if it ends in ``.gz``.

    Yields:
        The records, in order.

    Raises:
        CompressorError: If the file is damaged or is not a TFRecord file.
    """
    try:
        with FileSystems.open(path) as file:
            while (record := read_record(file)) is not None:
                yield record
    except (ValueError, EOFError) as error:
        raise CompressorError(
            f"{path!r} is damaged or is not a TFRecord file ({error}): repair it or remove it from the data folder."
        ) from error


def parse_example(record: bytes, label: str, where: str) -> tuple[tf.train.Example, str]:
    """Reads one Example and its class.

    Args:
        record: A serialised Example.
        label: Name of the feature with the class: one byte string or one integer.
        where: Location of the record, for messages.

    Returns:
        The Example, its label as text in the canonical form of :func:`class_label`, and the class.

    Raises:
        CompressorError: If the record is not an Example, lacks the feature, or its label is not a valid class name.
    """
    try:
        example = tf.train.Example.FromString(record)
    except DecodeError as error:
        raise CompressorError(f"{where} is not a tf.train.Example: write the records again.") from error
    features = example.features.feature
    values = _values(features[label]) if label in features else []
    if len(values) != 1:
        found = f"{len(values)} values in" if label in features else "no"
        raise CompressorError(
            f"{where} has {found} feature {label!r}, but needs exactly one class name there; its features: "
            f"{', '.join(sorted(features)) or 'none'}. Set data.label_feature."
        )
    (value,) = values
    name = str(value) if isinstance(value, int) else value.decode("utf-8", "surrogateescape")
    try:
        found = class_label(name)
    except CompressorError as error:
        raise CompressorError(f"{where}: {error}") from error
    features[label].CopyFrom(tf.train.Feature(bytes_list=tf.train.BytesList(value=[found.encode()])))
    return example, found


def _values(feature: tf.train.Feature) -> list[bytes] | list[int]:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind in ("bytes_list", "int64_list") else []
