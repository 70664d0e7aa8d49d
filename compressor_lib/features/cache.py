"""Features: outputs of a frozen network for every image, computed once and reused by every trial.

As long as the backbone is frozen, its activations are constant for each image. One pass of the backbone over a dataset
yields the activations at every cut (see :mod:`compressor_lib.pretraining.taps`). The layers after a cut are few and are
trained from there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.pretraining.taps import source_tap, tapped
from compressor_lib.pretraining.translator_fit import TranslatorSums, fit_translators, regressions_of
from compressor_lib.support.progress import Progress, log_progress

logger = logging.getLogger(__name__)

_LABELS, _WEIGHTS = "labels", "weights"


@dataclass(frozen=True)
class Features:
    """One array per example of a dataset, in the dataset's order.

    Attributes:
        values: ``[examples, ...]``.
        labels: Labels as in the dataset, ``[examples, ...]``.
        batch_size: Number of examples in the dataset's first batch.
        sample_weight: ``[examples]``, or None.
    """

    values: npt.NDArray[np.floating]
    labels: npt.NDArray[Any]
    batch_size: int
    sample_weight: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class _Pass:
    """The results of one pass of the backbone over a dataset."""

    dataset: object  # kept alive, so that its ID is not reused
    taps: dict[str, npt.NDArray[np.floating]]
    labels: npt.NDArray[Any]
    batch_size: int
    sample_weight: npt.NDArray[Any] | None


class FeatureCache:
    """Computes the activations at all cuts in one pass per dataset, and features from these activations.

    Activations are stored in half precision, in memory or, beyond a limit, in files.
    """

    def __init__(
        self, base: keras.Model, connections: Sequence[Connection], *, memory: int | ArrayStore | None = None
    ) -> None:
        """Creates an empty cache.

        Args:
            base: The backbone, without a head, with the weights that every sub-network shares.
            connections: All connections whose features may be requested.
            memory: Memory in bytes for all activations; None for no limit. A store, if several caches share one.
        """
        self._base = base
        self._store = memory if isinstance(memory, ArrayStore) else ArrayStore(memory)
        self._connections = list(connections)
        self._passes: dict[int, _Pass] = {}
        self._features: dict[tuple[int, Connection, str], Features] = {}

    def features(self, model: keras.Model, connection: Connection, frontier: str, dataset: Any) -> Features:
        """Returns the output of layer ``frontier`` of ``model`` for every example of ``dataset``.

        Args:
            model: A classifier on the sub-network of ``connection`` for which :func:`starts_at_cut` is true.
            connection: The connection of the sub-network.
            frontier: See :func:`frozen_frontier`.
            dataset: A finite dataset of batches ``(x, y)`` or ``(x, y, sample_weight)``.
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
        """Returns a connection's tap for every example, see :func:`compressor_lib.pretraining.taps.source_tap`."""
        taken = self._pass_over(dataset)
        values = taken.taps[source_tap(self._base, connection)]
        return Features(values, taken.labels, taken.batch_size, taken.sample_weight)

    def translators(self, dataset: Any, options: TranslatorOptions) -> TranslatorBank:
        """Fits the translators of all connections to a dataset, in the same pass that computes its activations.

        See :func:`compressor_lib.pretraining.translator_fit.fit_translators`.
        """
        if id(dataset) in self._passes:
            return fit_translators(self._base, self._connections, (x for x, *_ in dataset), **asdict(options))
        sums = TranslatorSums(options.held_out)
        self._pass_over(dataset, sums)
        return sums.solve(self._base, self._connections, options.ridge)

    def _pass_over(self, dataset: Any, sums: TranslatorSums | None = None) -> _Pass:
        if id(dataset) not in self._passes:
            sizes: list[int] = []
            columns = self._store.gather(self._blocks(dataset, sizes, sums))
            if not columns:
                raise CompressorError("the dataset is empty; check the splits of the data.")
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
    """Computes ``frontier``'s output from a connection's tap, starting at the translator's convolution."""
    # Tracing a graph for these few layers would take longer than running them once.
    after_cut = keras.Model(model.get_layer(CONV).input, model.get_layer(frontier).output)
    for start in range(0, len(taps), 256):
        values = after_cut(taps[start : start + 256], training=False)
        yield {"values": keras.ops.convert_to_numpy(values).astype(np.float16)}


def frozen_frontier(model: keras.Model) -> str | None:
    """Returns the last layer whose output is constant for each image while ``model`` trains.

    A layer is constant if its inputs are constant and it is frozen. Frozen means that it has no weights and draws no
    random numbers, or that its ``trainable`` is False (a frozen network runs in inference mode, including dropout;
    Keras' guide to transfer learning calls it with ``training=False`` for that).

    Returns:
        The layer's name. None if training starts at the input itself, if everything is frozen, if several tensors lead
        from the frozen part to the trained part, or if that tensor is not the output of a layer.
    """
    graph = LayerGraph.of(model)
    # Operations such as a + b are in the graph but are not layers; they have nothing to train.
    layers = {layer.name: layer for layer in model.layers}
    constant: set[str] = set()
    for name in sorted(graph.producers, key=graph.order.__getitem__):
        # Variables are weights and the states of random generators, including those of nested models.
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
    """Returns whether the output of ``frontier`` depends only on the connection's tap.

    This holds if the frontier is after the cut and all layers up to it belong to the backbone or the translator, or
    have no weights. A truncation's tap is averaged, so its frontier must be that average.
    """
    graph = LayerGraph.of(model)
    known = {layer.name for layer in base.layers}
    if connection.a not in graph.producers:
        return False  # the sub-network is nested in the model, so its layers are not accessible
    if connection.is_truncation:
        averages = isinstance(model.get_layer(frontier), keras.layers.GlobalAveragePooling2D)
        return averages and graph.producers[frontier] == (connection.a,)
    if CONV not in graph.producers:
        return False  # build() omitted the translator
    before = graph.ancestors(frontier)
    if frontier != _entry(model) and CONV not in before:
        return False  # it is before the tap, or on another path
    foreign = [
        layer.name
        for layer in model.layers
        if layer.name in before and layer.name not in known and layer.name != CONV and layer.weights
    ]
    return connection.a in before and not foreign


def _entry(model: keras.Model) -> str:
    """Returns the input layer of the translator's convolution: the connection's tap."""
    (entry,) = LayerGraph.of(model).producers[CONV]
    return entry
