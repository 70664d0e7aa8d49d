"""The uncompressed classifier, from options that are plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from compressor_lib.cuts.surgery import without_head
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.user_model import keep_head, load_own_model


def load_network(backbone: Mapping[str, Any]) -> keras.Model:
    """Builds a network of the catalogue, or loads a model of the user's own.

    Args:
        backbone: ``model``, a ``.keras`` file, with ``input_size`` and ``rescale``; or without one ``name``,
            ``input_size``, ``weights`` and ``alpha``.

    Returns:
        A flat functional model from float32 images ``[N, size, size, 3]``, 0..255: a network of the catalogue without
        its head, a model of the user's own with it.

    Raises:
        CompressorError: If weights cannot be downloaded, or belong to another network, or the model cannot be
            compressed.
    """
    if backbone.get("model"):
        return load_own_model(backbone["model"], input_size=backbone["input_size"], rescale=backbone.get("rescale"))
    return find_backbone(backbone["name"]).build(
        input_size=backbone["input_size"], weights=backbone["weights"], alpha=backbone["alpha"], preprocess=True
    )


def reference_model(
    network: keras.Model, backbone: Mapping[str, Any], head: Mapping[str, Any], classes: Sequence[str]
) -> keras.Model:
    """Gives a network the head of a run's classifier.

    Args:
        network: From :func:`load_network`.
        backbone: As there. With ``model`` and ``classes``, the names of its outputs, the model keeps its own head.
        head: Options of :func:`compressor_lib.networks.heads.attach_head`.
        classes: Names of the outputs, in their order.

    Returns:
        A classifier from the same images to probabilities ``[N, classes]``.

    Raises:
        CompressorError: If the model's own head is for other classes, or cannot be kept.
    """
    if backbone.get("model"):
        if backbone.get("classes"):
            return keep_head(network, backbone["classes"], classes)
        network = without_head(network)
    return attach_head(network, len(classes), name="reference", **head)
