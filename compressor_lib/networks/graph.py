"""The graph of a functional model, read from its configuration.

Keras describes a functional model completely in ``model.get_config()``: every layer, and which tensors
each one takes. Cutting and rejoining a network is therefore an edit of that description, and needs
neither Keras' private attributes nor knowledge of the architecture.
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
    """Which layer feeds which, in a functional model with one input and one output.

    Attributes:
        producers: For each layer, in topological order, the layers whose outputs it takes.
        sink: The layer whose output is the model's.
    """

    producers: dict[str, tuple[str, ...]]
    sink: str

    @classmethod
    def of(cls, model: keras.Model) -> LayerGraph:
        """Reads the graph of ``model``, once: a functional model's graph never changes.

        Raises:
            CompressorError: If the model is not functional, has several inputs or outputs, or calls
                one layer more than once.
        """
        if model not in _GRAPHS:
            _GRAPHS[model] = cls.from_config(functional_config(model))
        return _GRAPHS[model]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LayerGraph:
        """Reads the graph out of a functional model's ``get_config()``."""
        for key in ("input_layers", "output_layers"):
            if len(_references(config[key])) != 1:
                raise CompressorError(
                    f"model {config['name']!r} has {len(_references(config[key]))} "
                    f"{key.split('_')[0]}s; only models with one input and one output can be cut"
                )
        producers: dict[str, tuple[str, ...]] = {}
        for layer in config["layers"]:
            if len(layer["inbound_nodes"]) > 1:
                raise CompressorError(
                    f"layer {layer['name']!r} of model {config['name']!r} is called more than once; "
                    "a network with shared layers cannot be cut"
                )
            producers[layer["name"]] = tuple(
                tensor["config"]["keras_history"][0] for tensor in tensors(layer["inbound_nodes"])
            )
        return cls(producers, _references(config["output_layers"])[0])

    @functools.cached_property
    def order(self) -> dict[str, int]:
        """Position of each layer in topological order."""
        return {name: position for position, name in enumerate(_topological(self.producers))}

    @functools.cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For each layer, the layers that take its output, each once."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.producers}
        for consumer, inputs in self.producers.items():
            for producer in inputs:
                found[producer][consumer] = None
        return {name: tuple(consumers) for name, consumers in found.items()}

    def cut_points(self) -> list[str]:
        """The layers that every path goes through, from the input to the sink.

        One sweep in topological order finds them all: a layer is one unless an edge from before it leads
        beyond it, which :meth:`bypass` would show.
        """
        found, farthest = [], 0
        for name, position in self.order.items():
            if farthest <= position:
                found.append(name)
            farthest = max([farthest, *(self.order[consumer] for consumer in self.consumers[name])])
        return found

    def ancestors(self, name: str) -> set[str]:
        """``name`` and every layer its output depends on."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            layer = waiting.pop()
            if layer not in found:
                found.add(layer)
                waiting.extend(self.producers[layer])
        return found

    def bypass(self, name: str) -> tuple[str, str] | None:
        """An edge that leads around ``name``, as (from, to), or None if every path goes through it.

        In a topological order, a layer is on every path exactly when no edge jumps over it.
        """
        position = self.order[name]
        for consumer, inputs in self.producers.items():
            for producer in inputs:
                if self.order[producer] < position < self.order[consumer]:
                    return producer, consumer
        return None


_GRAPHS: weakref.WeakKeyDictionary[keras.Model, LayerGraph] = weakref.WeakKeyDictionary()


def functional_config(model: keras.Model) -> dict[str, Any]:
    """``model.get_config()`` of a functional model; a Sequential one is made functional first.

    Raises:
        CompressorError: If the model is neither.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    config = model.get_config()
    if not {"layers", "input_layers", "output_layers"} <= config.keys():
        raise CompressorError(
            f"model {model.name!r} is not a functional Keras model, so its graph cannot be read; "
            "build it with keras.Model(inputs, outputs)"
        )
    return config


def tensors(structure: Any) -> Iterator[dict[str, Any]]:
    """Every tensor reference in a layer's ``inbound_nodes``, in order, as a mutable description."""
    if isinstance(structure, dict):
        if structure.get("class_name") == "__keras_tensor__":
            yield structure
            return
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        for element in structure:
            yield from tensors(element)


def _references(layers: Any) -> list[str]:
    """Layer names in ``input_layers`` / ``output_layers``: [name, 0, 0], or a list or dict of these."""
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
