"""Surgery: cuts a network after layer A and rejoins it at layer B.

The operation edits the model's configuration (see :mod:`compressor_lib.networks.graph`): it removes the layers between
A and B, adds the translator's layers, and feeds their output to B. Keras then builds the sub-network from the edited
configuration, and the weights of every kept layer are copied by name.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras

from compressor_lib.cuts.connections import Connection, ConnectionForm
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.translators import TAIL_UNITS, TranslatorSpec
from compressor_lib.errors import CompressorError
from compressor_lib.networks.graph import LayerGraph, functional_config, tensors
from compressor_lib.networks.heads import last_feature_map
from compressor_lib.networks.weights import copy_weights


def create_submodel(
    base: keras.Model,
    connection: ConnectionForm,
    *,
    tail_units: int = TAIL_UNITS,
) -> keras.Model:
    """Returns the sub-network of ``base`` that ``connection`` describes.

    Args:
        base: A functional model with one input and one output, such as a backbone without top. It is not changed.
        connection: See :func:`compressor_lib.cuts.connections.parse_connection`. If it has a B, a translator with
            random weights replaces all layers between A and B. A truncation ends at A. A tail adds a translator with
            random weights after A and ends there.
        tail_units: Channels of the tail; ignored if the connection is not a tail.

    Returns:
        A new flat functional model. Kept layers have the same names and weights as in ``base``. The translator's layers
        are named ``translator_pool``, ``translator_conv`` and ``translator_activation``; those that are not needed are
        omitted.

    Raises:
        CompressorError: If the connection is unknown or not possible. The message says why.

    Example:
        >>> base = keras.applications.MobileNetV2(include_top=False, weights=None)
        >>> create_submodel(base, "block_5_add->Conv_1").count_params()
        484288
    """
    connection = find_connection(connection, base)
    config = copy.deepcopy(functional_config(base))
    graph = LayerGraph.from_config(config)
    before, after = kept_layers(graph, connection)
    layers = {layer["name"]: layer for layer in config["layers"]}
    translator = []
    if not connection.is_truncation:
        spec = TranslatorSpec.of(base, connection, tail_units)
        translator = _serialised(spec.layers(), connection.a, base)
    last = translator[-1]["name"] if translator else connection.a
    if connection.rejoins:
        (rejoined,) = graph.producers[connection.b]
        for consumer in graph.consumers[rejoined]:
            for tensor in tensors(layers[consumer]["inbound_nodes"]):
                if tensor["config"]["keras_history"][0] == rejoined:
                    tensor["config"]["keras_history"] = [last, 0, 0]
    else:
        config["output_layers"] = [last, 0, 0]
    config["layers"] = [
        *(layer for name, layer in layers.items() if name in before),
        *translator,
        *(layer for name, layer in layers.items() if name in after),
    ]
    config["name"] = f"{base.name}_{connection.a}_to_{connection.end}"
    submodel = keras.Model.from_config(config)
    copy_weights(base, submodel)
    return submodel


def extend_shared(base: keras.Model, connection: ConnectionForm, *, tail_units: int = TAIL_UNITS) -> keras.Model:
    """Creates a truncation or tail of ``base`` in milliseconds, because it shares the layers of ``base``.

    Args:
        base: A functional model whose layers, including their weights, are shared with the sub-network.
        connection: A connection without a B, because layers after a cut cannot be shared.
        tail_units: Channels of the tail; ignored if the connection is not a tail.

    Returns:
        A functional model like the one from :func:`create_submodel`.

    Raises:
        CompressorError: If the connection is unknown, not possible, or has a B.
    """
    connection = find_connection(connection, base)
    if connection.rejoins:
        raise CompressorError(
            f"connection {connection} leads back into the network, so its layers from {connection.b!r} on cannot be "
            "shared: use create_submodel, or a connection to head or tail."
        )
    x = base.get_layer(connection.a).output
    for layer in TranslatorSpec.of(base, connection, tail_units).layers() if connection.is_tail else ():
        x = layer(x)
    return keras.Model(base.inputs[0], x, name=f"{base.name}_{connection.a}_to_{connection.end}")


def kept_layers(graph: LayerGraph, connection: Connection) -> tuple[set[str], set[str]]:
    """Returns the names of the layers that a connection keeps: those up to A, and those from B on."""
    before = graph.ancestors(connection.a)
    if not connection.rejoins:
        return before, set()
    (rejoined,) = graph.producers[connection.b]
    # B's input is on every path, so the layers from B on are those that come after it.
    return before, {name for name in graph.producers if graph.order[name] > graph.order[rejoined]}


def without_head(classifier: keras.Model, *, name: str | None = None) -> keras.Model:
    """Returns the network before a classifier's head as a new model with the same weights.

    Args:
        classifier: A functional model; see :func:`compressor_lib.networks.heads.last_feature_map`.
        name: Name of the new model; the classifier's name if None.

    Raises:
        CompressorError: If the classifier has no feature map before its head.
    """
    backbone = create_submodel(classifier, Connection.head(last_feature_map(classifier)))
    return keras.Model(backbone.inputs[0], backbone.output, name=name or classifier.name)


def _serialised(translator: Sequence[keras.layers.Layer], a: str, base: keras.Model) -> list[dict[str, Any]]:
    """Returns the translator's layers as entries of a functional configuration, chained after layer ``a``."""
    first = tensor = keras.Input(base.get_layer(a).output.shape[1:], name=a)
    for layer in translator:
        tensor = layer(tensor)
    return functional_config(keras.Model(first, tensor))["layers"][1:]
