"""Turns a model that contains other models as layers into one flat float32 graph with the same weights.

Transfer learning leaves the pretrained network as a single layer of the classifier. To cut that network, its layers
must be in the classifier's own graph. Layers that compute in float16 or bfloat16, as under the policy
``mixed_float16``, are changed to float32, which TFLite converts.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras

from compressor_lib.networks.graph import LayerGraph, functional_config, tensors
from compressor_lib.networks.weights import copy_layer_weights


def flattened(model: keras.Model, renamed: Mapping[str, str] | None = None) -> keras.Model:
    """Replaces nested models with their layers and removes augmentation.

    Args:
        model: Functional or Sequential, with one input and one output, like all models nested in it.
        renamed: New layer names, by old name.

    Returns:
        A new model without nested models, with the same name, outputs and weights. If the name of a nested layer is
        already taken, its model's name is prepended. Every layer computes in float32. Layers that only act during
        training (``RandomFlip`` and the like) are removed.

    Raises:
        CompressorError: If a model's graph cannot be read (see :class:`compressor_lib.networks.graph.LayerGraph`).
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
            copy_layer_weights(flat.sources[layer.name], layer)
    return keras.Model(result.inputs[0], result.outputs[0], name=model.name)


_OTHER_FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")


class _Flat:
    """The layer entries of a functional configuration, collected from nested models."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self.entries: list[dict[str, Any]] = []
        self.sources: dict[str, keras.layers.Layer | None] = {}
        self._renamed = renamed

    def add(self, model: keras.Model, entry: str | None) -> str:
        """Adds a model's layers, with layer ``entry`` as its input, and returns the name of its last layer."""
        config = in_float32(copy.deepcopy(functional_config(model)))
        graph = LayerGraph.from_config(config)
        layers = {layer.name: layer for layer in model.layers}
        output: dict[str, str] = {}  # maps each layer here to its layer in the flat model
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
                output[name] = self._unused_name(name, model.name)
                self.sources[output[name]] = layer
                described["name"] = described["config"]["name"] = output[name]
                for tensor in tensors(described["inbound_nodes"]):
                    producer, _, index = tensor["config"]["keras_history"]
                    tensor["config"]["keras_history"] = [output[producer], 0, index]
                self.entries.append(described)
        return output[graph.sink]

    def _unused_name(self, name: str, model: str) -> str:
        name = self._renamed.get(name, name)
        while name in self.sources:
            name = f"{model}_{name}"
        return name


def in_float32(config: Any) -> Any:
    """Returns a configuration in which every other floating-point dtype is replaced by float32."""
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
    """Returns whether a layer is one of Keras' random layers, which do nothing outside of training."""
    kind = type(layer).__name__
    return (
        kind.startswith(("Rand", "AugMix", "CutMix", "MixUp"))
        and getattr(keras.layers, kind, None) is type(layer)
        and layer.input.shape == layer.output.shape
    )
