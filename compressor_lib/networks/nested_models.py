"""Flattening: a model that uses other models as layers, as one flat graph with the same weights, in float32.

Transfer learning leaves the pretrained network as a single layer of the classifier. Its own layers must be
in the graph for it to be cut. Layers that compute in float16 or bfloat16, as under the policy `mixed_float16`, compute
in float32 there, which is what TFLite converts.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras

from compressor_lib.networks.graph import LayerGraph, functional_config, tensors
from compressor_lib.networks.weights import give_weights


def flattened(model: keras.Model, renamed: Mapping[str, str] | None = None) -> keras.Model:
    """Puts the layers of nested models in the place of these, and leaves out augmentation.

    Args:
        model: Functional or Sequential, with one input and one output, as are the models nested in it.
        renamed: New names of layers, by the names they have.

    Returns:
        A new model without nested models, with the same name, outputs and weights. A nested layer whose name
        is taken is named after its model, too. Every layer computes in float32. Layers that do nothing outside
        of training (``RandomFlip`` and the like) are left out.

    Raises:
        CompressorError: If a model cannot be read (see :class:`compressor_lib.networks.graph.LayerGraph`).
    """
    flat = _Flat(renamed or {})
    last = flat.add(model, None)
    first = next(entry["name"] for entry in flat.entries if entry["class_name"] == "InputLayer")
    result = keras.Model.from_config(
        {
            "name": model.name,
            "trainable": True,
            "layers": flat.entries,
            "input_layers": [[first, 0, 0]],
            "output_layers": [[last, 0, 0]],
        }
    )
    for layer in result.layers:
        if layer.weights:
            give_weights(flat.sources[layer.name], layer)
    return keras.Model(result.inputs[0], result.outputs[0], name=model.name)


_OTHER_FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


class _Flat:
    """Entries of a functional configuration, gathered from nested ones."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self.entries: list[dict[str, Any]] = []
        self.sources: dict[str, keras.layers.Layer | None] = {}
        self._renamed = renamed

    def add(self, model: keras.Model, entry: str | None) -> str:
        """Adds a model's layers, its input being the output of layer ``entry``; returns the name of its last."""
        config = in_float32(copy.deepcopy(functional_config(model)))
        graph = LayerGraph.from_config(config)
        layers = {layer.name: layer for layer in model.layers}
        output: dict[str, str] = {}  # of each layer here, the layer of the flat model that gives it
        for described in sorted(config["layers"], key=lambda described: graph.order[described["name"]]):
            name = described["name"]
            layer = layers.get(name)
            producers = [output[producer] for producer in graph.producers[name]]
            if described["class_name"] == "InputLayer" and entry is not None:
                output[name] = entry
            elif isinstance(layer, keras.Model):
                output[name] = self.add(layer, producers[0])
            elif layer is not None and _only_augments(layer):
                (output[name],) = producers
            else:
                output[name] = self._free(name, model.name)
                self.sources[output[name]] = layer
                described["name"] = described["config"]["name"] = output[name]
                for tensor in tensors(described["inbound_nodes"]):
                    producer, _, index = tensor["config"]["keras_history"]
                    tensor["config"]["keras_history"] = [output[producer], 0, index]
                self.entries.append(described)
        return output[graph.sink]

    def _free(self, name: str, model: str) -> str:
        name = self._renamed.get(name, name)
        while name in self.sources:
            name = f"{model}_{name}"
        return name


def in_float32(config: Any) -> Any:
    """A configuration whose layers compute in float32, wherever it says another floating-point dtype."""
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "DTypePolicyMap"):
            return "float32"
        return {
            key: "float32" if key == "dtype" and value in _OTHER_FLOATS else in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(in_float32(value) for value in config)
    return config


def _only_augments(layer: keras.layers.Layer) -> bool:
    """Whether it is one of Keras' random layers, which leave images as they are outside of training."""
    kind = type(layer).__name__
    return (
        kind.startswith(("Rand", "AugMix", "CutMix", "MixUp"))
        and getattr(keras.layers, kind, None) is type(layer)
        and layer.input.shape == layer.output.shape
    )
