"""The reference model, built from options that are plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from compressor_lib.cuts.surgery import without_head
from compressor_lib.networks.backbones import find_backbone
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.user_model import keep_head, load_own_model


def load_network(backbone: Mapping[str, Any]) -> keras.Model:
    """Builds a backbone from the catalogue or loads the user's own model.

    Args:
        backbone: Either ``model`` (a ``.keras`` file), ``input_size`` and ``rescale``, or ``name``, ``input_size``,
            ``weights`` and ``alpha``.

    Returns:
        A flat functional model from float32 images ``[N, size, size, 3]``, 0..255. A catalogue backbone has no head;
        the user's own model keeps its head.

    Raises:
        CompressorError: If weights cannot be downloaded or belong to another network, or the model cannot be
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
    """Adds the head of a run's classifier to a network.

    Args:
        network: A network returned by :func:`load_network`.
        backbone: The same section. If it has ``model`` and ``classes`` (names of the model's outputs), the model keeps
            its own head.
        head: Arguments of :func:`compressor_lib.networks.heads.attach_head`.
        classes: Names of the outputs, in order.

    Returns:
        A classifier from the same images to probabilities ``[N, classes]``.

    Raises:
        CompressorError: If the model's own head is for other classes, or cannot be reused.
    """
    if backbone.get("model"):
        if backbone.get("classes"):
            return keep_head(network, backbone["classes"], classes)
        network = without_head(network)
    return attach_head(network, len(classes), name="reference", **head)
