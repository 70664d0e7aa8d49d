"""The graph of a functional model, read from its configuration.

``model.get_config()`` describes a functional model completely: every layer and its input tensors. Cutting and rejoining
a network is therefore an edit of that description. It needs neither Keras' private attributes nor knowledge of the
architecture.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from compressor_lib.errors import CompressorError


@dataclass(frozen=True)
class LayerGraph:
    """The connections between the layers of a functional model with one input and one output.

    Attributes:
        producers: For each layer, in topological order, the layers that feed it.
        sink: The layer whose output is the model's.
    """

    producers: dict[str, tuple[str, ...]]
    sink: str

    @classmethod
    def of(cls, model: keras.Model) -> LayerGraph:
        """Reads the graph of ``model`` and caches it: a functional model's graph never changes.

        Raises:
            CompressorError: If the model is not functional, has several inputs or outputs, or uses a layer more than
                once.
        """
        if model not in _GRAPHS:
            _GRAPHS[model] = cls.from_config(functional_config(model))
        return _GRAPHS[model]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LayerGraph:
        """Reads the graph from a functional model's ``get_config()``."""
        for key in ("input_layers", "output_layers"):
            if len(_references(config[key])) != 1:
                raise CompressorError(
                    f"model {config['name']!r} has {len(_references(config[key]))} "
                    f"{key.split('_')[0]}s; only models with one input and one output can be cut."
                )
        producers: dict[str, tuple[str, ...]] = {}
        for layer in config["layers"]:
            if len(layer["inbound_nodes"]) > 1:
                raise CompressorError(
                    f"layer {layer['name']!r} of model {config['name']!r} is used more than once; "
                    "a network with shared layers cannot be cut."
                )
            producers[layer["name"]] = tuple(
                tensor["config"]["keras_history"][0] for tensor in tensors(layer["inbound_nodes"])
            )
        return cls(producers, _references(config["output_layers"])[0])

    @functools.cached_property
    def order(self) -> dict[str, int]:
        """Returns the position of each layer in topological order."""
        return {name: position for position, name in enumerate(_topological(self.producers))}

    @functools.cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Returns, for each layer, the layers that take its output, without duplicates."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.producers}
        for consumer, inputs in self.producers.items():
            for producer in inputs:
                found[producer][consumer] = None
        return {name: tuple(consumers) for name, consumers in found.items()}

    def cut_points(self) -> list[str]:
        """Returns the layers that are on every path from the input to the sink.

        One sweep in topological order finds them all. A layer is a cut point unless an edge jumps over it;
        :meth:`bypass` returns such an edge.
        """
        found, farthest = [], 0
        for name, position in self.order.items():
            if farthest <= position:
                found.append(name)
            farthest = max([farthest, *(self.order[consumer] for consumer in self.consumers[name])])
        return found

    def ancestors(self, name: str) -> set[str]:
        """Returns ``name`` and every layer that its output depends on."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            layer = waiting.pop()
            if layer not in found:
                found.add(layer)
                waiting.extend(self.producers[layer])
        return found

    def bypass(self, name: str) -> tuple[str, str] | None:
        """Returns an edge (from, to) that bypasses ``name``, or None if the layer is on every path.

        A layer is on every path exactly when no edge jumps over it in topological order.
        """
        position = self.order[name]
        for consumer, inputs in self.producers.items():
            for producer in inputs:
                if self.order[producer] < position < self.order[consumer]:
                    return producer, consumer
        return None


_GRAPHS: weakref.WeakKeyDictionary[keras.Model, LayerGraph] = weakref.WeakKeyDictionary()


def functional_config(model: keras.Model) -> dict[str, Any]:
    """Returns ``model.get_config()`` of a functional model; a Sequential model is converted first.

    Raises:
        CompressorError: If the model is neither functional nor Sequential.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    config = model.get_config()
    if not {"layers", "input_layers", "output_layers"} <= config.keys():
        raise CompressorError(
            f"model {model.name!r} is not a functional Keras model, so its graph cannot be read; "
            "build it with keras.Model(inputs, outputs)."
        )
    return config


def tensors(structure: Any) -> Iterator[dict[str, Any]]:
    """Yields every tensor reference in a layer's ``inbound_nodes``, in order, as a mutable dict."""
    if isinstance(structure, dict):
        if structure.get("class_name") == "__keras_tensor__":
            yield structure
            return
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        for element in structure:
            yield from tensors(element)


def _references(layers: Any) -> list[str]:
    """Returns the layer names in ``input_layers`` or ``output_layers``: [name, 0, 0], or a list or dict of these."""
    if isinstance(layers, dict):
        layers = list(layers.values())
    if layers and isinstance(layers[0], str):
        return [layers[0]]
    return [name for element in layers for name in _references(element)]


def _topological(producers: dict[str, tuple[str, ...]]) -> list[str]:
    order: dict[str, None] = {}

    def visit(root: str) -> None:
        waiting = [root]
        while waiting:
            name = waiting[-1]
            missing = [producer for producer in producers[name] if producer not in order]
            if missing:
                waiting.extend(reversed(missing))
            else:
                order.setdefault(waiting.pop())

    for name in producers:
        visit(name)
    return list(order)
