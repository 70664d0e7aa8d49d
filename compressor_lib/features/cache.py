"""Features: what a frozen network computes of every image, computed once and reused by every trial.

As long as the backbone is frozen, its activations are constants of the image. One pass of the backbone
over a data set yields them at every cut (see :mod:`compressor_lib.pretraining.taps`); what stands behind a cut is
small, and is trained from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.translators import CONV
from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.networks.graph import LayerGraph
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.taps import source_tap, tapped
from compressor_lib.pretraining.translator_fit import TranslatorSums, fit_translators, regressions_of
from compressor_lib.support.progress import Progress, log_progress

logger = logging.getLogger(__name__)

_LABELS, _WEIGHTS = "labels", "weights"


@dataclass(frozen=True)
class Features:
    """One array per example of a data set, in its order.

    Attributes:
        values: ``[examples, ...]``.
        labels: As the data set gives them, ``[examples, ...]``.
        batch_size: Examples in the data set's first batch.
        sample_weight: ``[examples]``, or None.
    """

    values: npt.NDArray[np.floating]
    labels: npt.NDArray[Any]
    batch_size: int
    sample_weight: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class _Pass:
    """What one pass of the backbone over a data set left."""

    dataset: object  # held so that its id is not given to another
    taps: dict[str, npt.NDArray[np.floating]]
    labels: npt.NDArray[Any]
    batch_size: int
    sample_weight: npt.NDArray[Any] | None


class FeatureCache:
    """Computes the activations at all cuts in one pass per data set, and features from these.

    Activations are kept in half precision, in memory or, beyond a limit, in files.
    """

    def __init__(self, base: keras.Model, connections: Sequence[Connection], *, memory: int | None = None) -> None:
        """Prepares a cache that is empty until features are asked for.

        Args:
            base: The backbone, without its head, with the weights that every sub-network shares.
            connections: All connections whose features may be asked for.
            memory: Bytes of memory for them all; None for no limit.
        """
        self._base = base
        self._store = ArrayStore(memory)
        self._connections = list(connections)
        self._passes: dict[int, _Pass] = {}
        self._features: dict[tuple[int, Connection, str], Features] = {}

    def features(self, model: keras.Model, connection: Connection, frontier: str, dataset: Any) -> Features:
        """The output of layer ``frontier`` of ``model`` for every example of ``dataset``.

        Args:
            model: A classifier on the sub-network of ``connection``, for which :func:`starts_at_cut` holds.
            connection: Which sub-network it stands on.
            frontier: See :func:`frozen_frontier`.
            dataset: Finite; yields batches ``(x, y)`` or ``(x, y, sample_weight)``.
        """
        key = (id(dataset), connection, frontier)
        if key not in self._features:
            taken = self.activations(connection, dataset)
            if not connection.is_truncation and frontier != _entry(model):
                values = self._store.gather(_computed(model, frontier, taken.values))["values"]
                taken = replace(taken, values=values)
            self._features[key] = taken
        return self._features[key]

    def activations(self, connection: Connection, dataset: Any) -> Features:
        """A connection's tap for every example, see :func:`compressor_lib.pretraining.taps.source_tap`."""
        taken = self._pass_over(dataset)
        values = taken.taps[source_tap(self._base, connection)]
        return Features(values, taken.labels, taken.batch_size, taken.sample_weight)

    def translators(self, dataset: Any) -> TranslatorBank:
        """Fits the translators of all connections to a data set, in the same pass that yields its activations.

        See :func:`compressor_lib.pretraining.translator_fit.fit_translators`.
        """
        if id(dataset) in self._passes:
            return fit_translators(self._base, self._connections, (x for x, *_ in dataset))
        sums = TranslatorSums()
        self._pass_over(dataset, sums)
        return sums.solve(self._base, self._connections)

    def _pass_over(self, dataset: Any, sums: TranslatorSums | None = None) -> _Pass:
        if id(dataset) not in self._passes:
            sizes: list[int] = []
            columns = self._store.gather(self._blocks(dataset, sizes, sums))
            if not columns:
                raise CompressorError("the data set is empty; check the data's splits")
            labels, weights = columns.pop(_LABELS), columns.pop(_WEIGHTS, None)
            self._passes[id(dataset)] = _Pass(dataset, columns, labels, sizes[0], weights)
        return self._passes[id(dataset)]

    def _blocks(
        self, dataset: Any, sizes: list[int], sums: TranslatorSums | None
    ) -> Iterator[dict[str, npt.NDArray[Any]]]:
        tap_model = tapped(self._base, self._connections, targets=sums is not None)
        regressions = list(regressions_of(self._base, self._connections).values())
        sources = {source_tap(self._base, connection) for connection in self._connections}
        for x, *others in dataset:
            sizes.append(len(others[0]))
            values = tap_model.predict_on_batch(x)
            log_progress(logger, Progress("image", sum(sizes)))
            if sums is not None:
                sums.add_taps(values, np.asarray(x), regressions)
            taps = {name: values[name].astype(np.float16) for name in sources}
            yield taps | {name: np.asarray(other) for name, other in zip((_LABELS, _WEIGHTS), others, strict=False)}


def _computed(
    model: keras.Model, frontier: str, taps: npt.NDArray[np.floating]
) -> Iterator[dict[str, npt.NDArray[np.floating]]]:
    """What the layers from the translator's convolution to ``frontier`` make of a connection's tap."""
    # A few layers, run once over the data: tracing them would take longer.
    behind = keras.Model(model.get_layer(CONV).input, model.get_layer(frontier).output)
    for start in range(0, len(taps), 256):
        values = behind(taps[start : start + 256], training=False)
        yield {"values": keras.ops.convert_to_numpy(values).astype(np.float16)}


def frozen_frontier(model: keras.Model) -> str | None:
    """The last layer whose output is a constant of the image while ``model`` trains.

    A layer is constant if all it takes is, and it is frozen: it has no weights and draws no random numbers, or
    its ``trainable`` is off (a frozen network runs as in inference, dropout included; Keras' guide to transfer
    learning calls it with ``training=False`` for that).

    Returns:
        The layer's name; None if the input itself is trained from, if everything is frozen, if more than
        one tensor leads from the frozen part into the trained one, or if that tensor is no layer's.
    """
    graph = LayerGraph.of(model)
    # An operation such as a + b is part of the graph, but no layer: it has nothing that could vary.
    layers = {layer.name: layer for layer in model.layers}
    constant: set[str] = set()
    for name in sorted(graph.producers, key=graph.order.__getitem__):
        # Variables are weights and the states of random generators, a nested model's included.
        varies = name in layers and layers[name].trainable and bool(layers[name].variables)
        if not varies and all(producer in constant for producer in graph.producers[name]):
            constant.add(name)
    crossing = {
        producer
        for name, inputs in graph.producers.items()
        if name not in constant
        for producer in inputs
        if producer in constant
    }
    if len(crossing) != 1:
        return None
    (frontier,) = crossing
    if frontier not in layers or isinstance(layers[frontier], keras.layers.InputLayer):
        return None
    return frontier


def starts_at_cut(model: keras.Model, base: keras.Model, connection: Connection, frontier: str) -> bool:
    """Whether the output of ``frontier`` follows from the connection's tap alone.

    That is so if the frontier lies behind the cut and everything up to it is the backbone's, the translator's
    or has no weights. A truncation's tap is averaged, so its frontier must be that average.
    """
    graph = LayerGraph.of(model)
    known = {layer.name for layer in base.layers}
    if connection.a not in graph.producers:
        return False  # the sub-network is nested in the model, its layers are out of reach
    if connection.is_truncation:
        averages = isinstance(model.get_layer(frontier), keras.layers.GlobalAveragePooling2D)
        return averages and graph.producers[frontier] == (connection.a,)
    if CONV not in graph.producers:
        return False  # build() left the translator out
    before = graph.ancestors(frontier)
    if frontier != _entry(model) and CONV not in before:
        return False  # it lies in front of the tap, or beside it
    foreign = [
        layer.name
        for layer in model.layers
        if layer.name in before and layer.name not in known and layer.name != CONV and layer.weights
    ]
    return connection.a in before and not foreign


def _entry(model: keras.Model) -> str:
    """The layer whose output the translator's convolution takes: the connection's tap."""
    (entry,) = LayerGraph.of(model).producers[CONV]
    return entry
