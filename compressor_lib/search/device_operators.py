"""The operators of all networks of a search, to be measured on a device for a latency table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.translators import TAIL_UNITS, TranslatorSpec
from compressor_lib.deployment.latency import time_models
from compressor_lib.deployment.latency_table import OPERATOR, REFERENCE_ROW
from compressor_lib.deployment.operators import operator_files, operators
from compressor_lib.deployment.precision import Precision
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective.costs import converted

_SECONDS = 10.0
"""Approximate maximum time to measure one file, in seconds."""


def candidate_operators(
    base: keras.Model,
    connections: Iterable[Connection],
    num_classes: int,
    *,
    tail_units: Sequence[int] = (TAIL_UNITS,),
    head_units: Sequence[int] = (0,),
    precision: Precision = "float32",
) -> list[str]:
    """Returns the operators of all sub-networks of a backbone (:func:`compressor_lib.deployment.operators.operators`).

    Args:
        base: The backbone, without a head.
        connections: Its connections.
        num_classes: Number of classes.
        tail_units: Widths of the tails.
        head_units: Widths of the head's linear layer; 0 for none.
        precision: Precision of the TFLite files.

    Raises:
        CompressorError: If the networks do not convert to TFLite.
    """
    model = _candidates(base, connections, num_classes, tail_units, head_units)
    return list(dict.fromkeys(operators(converted(model, precision))))


def files_to_measure(
    reference: keras.Model,
    backbones: Iterable[tuple[keras.Model, Sequence[Connection]]],
    *,
    tail_units: Sequence[int] = (TAIL_UNITS,),
    head_units: Sequence[int] = (0,),
    precision: Precision = "float32",
) -> dict[str, bytes]:
    """Returns the TFLite files whose times make a latency table for a search, by the names of its rows.

    Args:
        reference: The reference model.
        backbones: Each backbone that is searched, at each image size, and its connections.
        tail_units: Widths of the tails.
        head_units: Widths of the head's linear layer; 0 for none.
        precision: Precision of the TFLite files that ship. The operators of a float16 file are those in float32.

    Returns:
        The reference model, and one file for each operator of the networks.

    Raises:
        CompressorError: If a network does not convert to TFLite.
    """
    computed: Precision = "float32" if precision == "float16" else precision
    whole = converted(reference, precision)
    files = operator_files(converted(reference, computed))
    for base, connections in backbones:
        model = _candidates(base, connections, reference.output_shape[-1], tail_units, head_units)
        files = operator_files(converted(model, computed)) | files
    return {REFERENCE_ROW: whole, **dict(sorted(files.items()))}


def measured_table(files: dict[str, bytes]) -> str:
    """Measures files on this machine, one at a time.

    Args:
        files: TFLite files from :func:`files_to_measure`.

    Returns:
        A latency table as CSV.
    """
    rows = [f"{OPERATOR},milliseconds"]
    for name, tflite in files.items():
        rows.append(f"{name},{time_models({name: tflite}, seconds=_SECONDS).latency(name).median:.6f}")
    return "\n".join([*rows, ""])


def _candidates(
    base: keras.Model,
    connections: Iterable[Connection],
    num_classes: int,
    tail_units: Sequence[int],
    head_units: Sequence[int],
) -> keras.Model:
    """Returns one model with the layers of all sub-networks, so that they are converted at once.

    A backbone's layers are the same in all of them. Of the layers that follow A, those for equal shapes are the same.
    """
    outputs: list[keras.KerasTensor] = []
    known: set[tuple[tuple[int, ...], TranslatorSpec | None, int | None]] = set()

    def branch(source: keras.KerasTensor, translator: TranslatorSpec | None, units: int | None) -> None:
        shape = tuple(source.shape[1:])
        if (shape, translator, units) in known:
            return
        known.add((shape, translator, units))
        inputs = x = keras.Input(shape)
        for layer in () if translator is None else translator.layers():
            x = layer(x)
        model = keras.Model(inputs, x, name="translator")
        if units is not None:
            model = attach_head(model, num_classes, units=units)
        outputs.append(keras.Model(model.inputs[0], model.output, name=f"branch_{len(known)}")(source))

    for units in head_units:
        branch(base.output, None, units)
    for connection in connections:
        source = base.get_layer(connection.a).output
        if connection.rejoins:
            branch(source, TranslatorSpec.of(base, connection), None)
            continue
        for units in head_units:
            for width in tail_units if connection.is_tail else (0,):
                branch(source, TranslatorSpec.of(base, connection, width) if width else None, units)
    return keras.Model(base.inputs[0], outputs)
