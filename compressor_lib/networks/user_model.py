"""The user's own model: loads a functional classifier from a ``.keras`` file and prepares it for compression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from compressor_lib.errors import CompressorError, first_line
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.keras_file import read_keras_file
from compressor_lib.networks.layer_names import (
    CLASSIFIER,
    DROPOUT,
    HEAD,
    HIDDEN,
    POOLING,
    PREPROCESS,
    TAIL,
    TRANSLATOR_PREFIX,
)
from compressor_lib.networks.nested_models import flattened

_RESERVED = (PREPROCESS, HEAD, TAIL, POOLING, DROPOUT, HIDDEN, CLASSIFIER)


def load_own_model(
    path: str | Path, *, input_size: int | None = None, rescale: tuple[float, float] | None = None
) -> keras.Model:
    """Loads a classifier as a flat network, without running code from its file.

    Args:
        path: A ``.keras`` file with a functional or Sequential model. Nested models are flattened.
        input_size: Height and width in pixels, for a model that takes images of any size. The model's own size if None.
        rescale: ``(scale, offset)`` from pixels in 0..255 to the model's input. None if the model takes pixels.

    Returns:
        A flat functional model from float32 images ``[N, size, size, 3]``, 0..255, to its predictions. Layers keep
        their names. Only names reserved for the layers that this package adds get the prefix ``own_``.

    Raises:
        CompressorError: If the file cannot be read or its model cannot be compressed. The message says why.

    Example:
        >>> base = without_head(load_own_model("flowers.keras"))  # doctest: +SKIP
    """
    own_size = read_keras_file(path).input_size
    size = input_size or own_size
    if size is None:
        raise CompressorError(
            f"the model in {str(path)!r} takes images of any size; give the input_size.", argument="input_size"
        )
    if own_size not in (None, size):
        raise CompressorError(
            f"the model in {str(path)!r} takes images of {own_size} pixels, not {size}.", argument="input_size"
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        x = images = keras.Input((size, size, 3), name="images")
        if rescale is not None:
            x = keras.layers.Rescaling(*rescale, name=PREPROCESS)(x)
        predictions = model(x)
    except Exception as error:
        cause = first_line(error)
        raise CompressorError(
            f"the model in {str(path)!r} cannot be loaded and run: {cause}. Save it again with the "
            f"installed Keras ({keras.__version__})."
        ) from error
    flat = flattened(keras.Model(images, predictions, name=model.name))
    return flattened(flat, _safe_names(flat, rescaled=rescale is not None))


def keep_head(model: keras.Model, classes: Sequence[str], order: Sequence[str]) -> keras.Model:
    """Returns the classifier with its own head, its outputs in the order of the data's classes.

    Args:
        model: A classifier from :func:`load_own_model`.
        classes: Names of its outputs, in order.
        order: Class names of the data, in the desired order.

    Returns:
        A classifier from the same images to probabilities ``[N, classes]``. A softmax is added if the model returns
        logits.

    Raises:
        CompressorError: If the names differ from the data's classes, their number differs from the number of outputs,
            or the outputs are neither probabilities nor logits.
    """
    if tuple(model.output_shape[1:]) != (len(classes),):
        raise CompressorError(
            f"{len(classes)} class names are given, but the model's output is {model.output_shape}; "
            "give one name for each output, in order.",
            argument="classes",
        )
    if sorted(classes) != sorted(order):
        raise CompressorError(
            f"the model's classes ({', '.join(classes)}) are not the data's classes ({', '.join(order)}); "
            "correct the names, or remove them to replace the head.",
            argument="classes",
        )
    kept = flattened(model)
    places = [list(classes).index(name) for name in order]
    last = next(layer for layer in reversed(kept.layers) if layer.weights)
    if any(weight.shape[-1] != len(places) for weight in last.weights):
        raise _head_not_kept(last)
    last.set_weights([weight[..., places] for weight in last.get_weights()])
    noise = np.random.default_rng(0).uniform(0, 255, (4, *model.input_shape[1:])).astype(np.float32)
    before, after = (keras.ops.convert_to_numpy(each(noise, training=False)) for each in (model, kept))
    if not np.allclose(after, before[:, places], rtol=1e-3, atol=1e-5):
        raise _head_not_kept(last)
    if (after >= 0).all() and np.allclose(after.sum(axis=-1), 1, atol=1e-3):
        return kept
    if getattr(kept.layers[-1], "activation", None) is not keras.activations.linear:
        raise CompressorError(
            "the model's outputs are not probabilities: they do not add up to 1. End the model in a softmax, or remove "
            "its class names to replace the head.",
            argument="classes",
        )
    return keras.Model(kept.inputs[0], keras.layers.Softmax(name="softmax")(kept.output), name=kept.name)


def _head_not_kept(last: keras.layers.Layer) -> CompressorError:
    return CompressorError(
        f"the model's outputs cannot be reordered to match the data's classes: layer {last.name!r} does not have "
        "one channel for each class. Remove the model's class names to replace the head.",
        argument="classes",
    )


def _safe_names(flat: keras.Model, *, rescaled: bool) -> dict[str, str]:
    """Returns new names for the layers before the head whose names are reserved for layers that this package adds."""
    graph = LayerGraph.of(flat)
    head = graph.order[last_feature_map(flat)]
    names = {}
    for name, position in graph.order.items():
        if position > head or (name == PREPROCESS and rescaled):
            continue
        if name.startswith(TRANSLATOR_PREFIX) or name in _RESERVED or name.isdecimal():  # decimal names mean indices
            names[name] = f"own_{name}"
    return names
