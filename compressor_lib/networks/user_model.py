"""A model of the user's own: any functional classifier from a ``.keras`` file, made ready to be compressed."""

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
    """Loads a classifier, without running code from its file, as the flat network the method works on.

    Args:
        path: A ``.keras`` file of a functional or Sequential model. Models nested in it are put in line.
        input_size: Height and width in pixels, where the model takes images of any size; its own if None.
        rescale: ``(scale, offset)`` from pixels in 0..255 to what the model takes; None if it takes the pixels.

    Returns:
        A flat functional model from float32 images ``[N, size, size, 3]``, 0..255, to its answers. Layers
        keep their names, except for those that would pass for layers this project adds: these begin with
        ``own_``.

    Raises:
        CompressorError: If the file cannot be read or its model cannot be compressed; the message says why.

    Example:
        >>> base = without_head(load_own_model("flowers.keras"))  # doctest: +SKIP
    """
    own_size = read_keras_file(path).input_size
    size = input_size or own_size
    if size is None:
        raise CompressorError(
            f"the model in {str(path)!r} takes images of any size; give the input_size", argument="input_size"
        )
    if own_size not in (None, size):
        raise CompressorError(
            f"the model in {str(path)!r} takes images of {own_size} pixels, not {size}", argument="input_size"
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        x = images = keras.Input((size, size, 3), name="images")
        if rescale is not None:
            x = keras.layers.Rescaling(*rescale, name=PREPROCESS)(x)
        answers = model(x)
    except Exception as error:
        cause = first_line(error)
        raise CompressorError(
            f"the model in {str(path)!r} cannot be loaded and run: {cause}. Save it again with the Keras that is "
            f"installed here ({keras.__version__})"
        ) from error
    flat = flattened(keras.Model(images, answers, name=model.name))
    return flattened(flat, _safe_names(flat, rescaled=rescale is not None))


def keep_head(model: keras.Model, classes: Sequence[str], order: Sequence[str]) -> keras.Model:
    """The classifier with its own head, its answers in the order of the data's classes.

    Args:
        model: A classifier from :func:`load_own_model`.
        classes: Names of its outputs, in their order.
        order: The data's names, in the order that is wanted.

    Returns:
        A classifier from the same images to probabilities ``[N, classes]``. A softmax is added where the model
        answers with logits.

    Raises:
        CompressorError: If the names are not the same, or not as many as the outputs, or the answers are neither
            probabilities nor logits.
    """
    if tuple(model.output_shape[1:]) != (len(classes),):
        raise CompressorError(
            f"{len(classes)} class names are given, but the model's output is {model.output_shape}; "
            "give one name for each output, in their order",
            argument="classes",
        )
    if sorted(classes) != sorted(order):
        raise CompressorError(
            f"the model's classes ({', '.join(classes)}) are not the data's classes ({', '.join(order)}); "
            "correct the names, or leave them out to have the head replaced",
            argument="classes",
        )
    kept = flattened(model)
    places = [list(classes).index(name) for name in order]
    last = next(layer for layer in reversed(kept.layers) if layer.weights)
    if any(weight.shape[-1] != len(places) for weight in last.weights):
        raise _cannot_be_kept(last)
    last.set_weights([weight[..., places] for weight in last.get_weights()])
    noise = np.random.default_rng(0).uniform(0, 255, (4, *model.input_shape[1:])).astype(np.float32)
    before, after = (keras.ops.convert_to_numpy(each(noise, training=False)) for each in (model, kept))
    if not np.allclose(after, before[:, places], rtol=1e-3, atol=1e-5):
        raise _cannot_be_kept(last)
    if (after >= 0).all() and np.allclose(after.sum(axis=-1), 1, atol=1e-3):
        return kept
    if getattr(kept.layers[-1], "activation", None) is not keras.activations.linear:
        raise CompressorError(
            "the model's answers are no probabilities, for they do not add up to 1; end it in a softmax, or leave "
            "its class names out to have its head replaced",
            argument="classes",
        )
    return keras.Model(kept.inputs[0], keras.layers.Softmax(name="softmax")(kept.output), name=kept.name)


def _cannot_be_kept(last: keras.layers.Layer) -> CompressorError:
    return CompressorError(
        f"the model's answers cannot be put in the order of the data's classes, for layer {last.name!r} does not give "
        "one channel for each; leave the model's class names out to have the head replaced",
        argument="classes",
    )


def _safe_names(flat: keras.Model, *, rescaled: bool) -> dict[str, str]:
    """New names for the layers in front of the head that would be taken for layers this project adds."""
    graph = LayerGraph.of(flat)
    head = graph.order[last_feature_map(flat)]
    names = {}
    for name, position in graph.order.items():
        if position > head or (name == PREPROCESS and rescaled):
            continue
        if name.startswith(TRANSLATOR_PREFIX) or name in _RESERVED or name.isdecimal():  # which counts as an index
            names[name] = f"own_{name}"
    return names
