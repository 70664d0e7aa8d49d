"""Costs of a classifier, such as its number of parameters or its latency, and budgets for them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import kept_layers
from compressor_lib.cuts.translators import TAIL_UNITS, TranslatorSpec
from compressor_lib.deployment.activation_memory import activation_memory
from compressor_lib.deployment.latency import time_models
from compressor_lib.deployment.latency_table import DeviceYardstick
from compressor_lib.deployment.measure import count_parameters
from compressor_lib.deployment.model_metrics import KIB, REFERENCE
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.errors import CompressorError, unknown
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.networks.least_memory import least_memory
from compressor_lib.networks.macs import layer_multiply_adds, multiply_adds


@dataclass(frozen=True)
class Yardstick:
    """The reference model, which the search times next to each network.

    The speed of a machine varies over the hours of a search. A network's latency is therefore the reference model's
    latency, measured once, divided by the network's speedup over the reference model, measured side by side.

    Attributes:
        tflite: The reference model's TFLite file.
        milliseconds: Its latency in milliseconds.
    """

    tflite: bytes
    milliseconds: float

    @classmethod
    def of(
        cls, reference: keras.Model, milliseconds: float | None = None, *, precision: Precision = "float32"
    ) -> Yardstick:
        """Converts the reference model to TFLite and times it unless its latency is given."""
        tflite = converted(reference, precision)
        return cls(tflite, _latency_alone(tflite) if milliseconds is None else milliseconds)

    def latency(self, tflite: bytes) -> float:
        """Returns the milliseconds that a TFLite model takes for one image."""
        timings = time_models({REFERENCE: self.tflite, "model": tflite}, seconds=_SECONDS)
        return self.milliseconds / timings.speedup("model", REFERENCE).ratio


AnyYardstick = Yardstick | DeviceYardstick
"""What latencies are measured with: this machine, or the table of a device."""


class _Classifier:
    """A classifier and its TFLite model, shared by several costs."""

    def __init__(
        self,
        model: keras.Model,
        yardstick: AnyYardstick | None,
        class_names: Sequence[str] | None,
        precision: Precision,
    ) -> None:
        self.model = model
        self.yardstick = yardstick
        self.class_names = class_names
        self.precision = precision

    @functools.cached_property
    def tflite(self) -> bytes:
        return converted(self.model, self.precision)

    @property
    def bytes(self) -> int:
        return len(self.tflite if self.class_names is None else with_metadata(self.tflite, self.class_names))

    @property
    def latency(self) -> float:
        return self.yardstick.latency(self.tflite) if self.yardstick else _latency_alone(self.tflite)


def converted(model: keras.Model, precision: Precision) -> bytes:
    """Converts a classifier to a TFLite file with the costs of the deployed one.

    For int8, one image of noise does for calibration: size, time and memory depend on the shapes, not on the ranges of
    the activations.
    """
    noise = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape[1:]), dtype=np.uint8)
    return to_tflite(model, precision=precision, calibration=noise)


def _latency_alone(tflite: bytes) -> float:
    return time_models({REFERENCE: tflite}, seconds=_SECONDS).latency(REFERENCE).median


@dataclass(frozen=True)
class Cost:
    """One kind of cost.

    Attributes:
        unit: Unit of the cost.
        of: Function that returns the cost of a classifier.
    """

    unit: str
    of: Callable[[_Classifier], float]


COSTS: dict[str, Cost] = {
    "parameters": Cost("parameters", lambda classifier: count_parameters(classifier.model)),
    "macs": Cost("multiply-adds", lambda classifier: multiply_adds(classifier.model)),
    "bytes": Cost("bytes", lambda classifier: classifier.bytes),
    "latency": Cost("ms", lambda classifier: classifier.latency),
    "memory": Cost("KiB of memory", lambda classifier: activation_memory(classifier.tflite) / KIB),
}
"""The costs by their names.

``parameters`` and ``macs`` (multiply-adds for one image, see :mod:`compressor_lib.networks.macs`) are counted.
The others are measured on a TFLite file, which requires a conversion: ``bytes`` (the size of the file, with metadata if
the class names are known), ``latency`` (its median time for one image on one thread, in milliseconds) and ``memory``
(the peak memory for activations in int8, whatever the file's precision, in KiB; see
:mod:`compressor_lib.deployment.activation_memory`). The latency is specific to the search; the latency of the finished
model is measured when it is converted.
"""

COUNTED = ("parameters", "macs", "memory")
"""The costs that :func:`counted_costs` returns; for ``memory`` a lower bound."""

_SECONDS = 10.0
"""Approximate maximum time to measure the latency of one network, in seconds."""


def measure_costs(
    model: keras.Model,
    names: Iterable[str],
    yardstick: AnyYardstick | None = None,
    class_names: Sequence[str] | None = None,
    *,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Measures the named costs of a classifier.

    Args:
        model: Functional model, float32 ``[N, size, size, 3]`` to probabilities.
        names: Names in ``COSTS``.
        yardstick: The reference model, or the table of a device, for latencies; None to time the classifier on its
            own.
        class_names: The class names, which ``bytes`` then includes as the file's metadata; None to leave the metadata
            out.
        precision: Precision of the TFLite file.

    Raises:
        CompressorError: If a cost is unknown, or the classifier does not convert to TFLite and a cost requires it.
    """
    classifier = _Classifier(model, yardstick, class_names, precision)
    return {name: find_cost(name).of(classifier) for name in names}


def find_cost(name: str) -> Cost:
    """Returns the cost with the given name.

    Raises:
        CompressorError: If there is no such cost.
    """
    if name not in COSTS:
        raise unknown("cost", name, COSTS)
    return COSTS[name]


@dataclass(frozen=True)
class Budgets:
    """Upper limits for the costs of a network.

    Attributes:
        limits: Largest cost allowed, by name in ``COSTS``.

    Example:
        >>> Budgets({"parameters": 500_000, "latency": 8}).within({"parameters": 400_000, "latency": 9.1})
        False
    """

    limits: Mapping[str, float]

    def __post_init__(self) -> None:
        """Rejects unknown costs and limits that no network can meet."""
        for name, limit in self.limits.items():
            cost = find_cost(name)
            if not limit > 0:
                raise CompressorError(f"the budget of {name} is {limit}: give a number of {cost.unit} above 0.")

    def excess(self, costs: Mapping[str, float]) -> float:
        """Returns the largest ratio of a given cost to its limit; above 1, a limit is exceeded."""
        return max((costs[name] / limit for name, limit in self.limits.items() if name in costs), default=0.0)

    def within(self, costs: Mapping[str, float]) -> bool:
        """Returns whether none of the given costs exceeds its limit."""
        return self.excess(costs) <= 1

    def exceeded(self, costs: Mapping[str, float]) -> str:
        """Describes the exceeded limits and the costs that exceed them."""
        return " and ".join(
            f"{_shown(costs[name])} {COSTS[name].unit} (budget: {_shown(limit)})"
            for name, limit in self.limits.items()
            if name in costs and costs[name] > limit
        )


def counted_costs(
    base: keras.Model,
    connection: Connection,
    num_classes: int,
    *,
    tail_units: int = TAIL_UNITS,
    head_units: int = 0,
) -> dict[str, float]:
    """Returns the costs of a connection's classifier that can be counted without building it.

    Args:
        base: The backbone, without a head.
        connection: A valid connection.
        num_classes: Number of classes.
        tail_units: Channels of the tail, for a connection that is a tail.
        head_units: Width of the head's linear layer; 0 if there is none.

    Returns:
        ``parameters``, ``macs`` and a lower bound for ``memory``, see
        :func:`compressor_lib.networks.least_memory.least_memory`.
    """
    before, after = kept_layers(LayerGraph.of(base), connection)
    kept = [layer for layer in base.layers if layer.name in before | after]
    parameters = sum(layer.count_params() for layer in kept)
    macs = sum(layer_multiply_adds(layer) for layer in kept)
    if connection.is_truncation:
        channels = base.get_layer(connection.a).output.shape[-1]
    else:
        translator = TranslatorSpec.of(base, connection, tail_units)
        parameters += translator.parameters
        macs += translator.multiply_adds
        channels = tail_units if connection.is_tail else base.output.shape[-1]
    widths = [channels, head_units, num_classes] if head_units else [channels, num_classes]
    for inputs, outputs in itertools.pairwise(widths):
        parameters += (inputs + 1) * outputs
        macs += inputs * outputs
    return {"parameters": parameters, "macs": macs, "memory": least_memory(base, before | after) / KIB}


def _shown(value: float) -> str:
    return f"{round(value, 3):,.12g}"
