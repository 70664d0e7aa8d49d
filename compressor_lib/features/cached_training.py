"""Training on cached features: the same result as ``model.fit``, without running the frozen layers again.

A model built under a ``tf.distribute`` strategy is trained on one device, with the same result as ``model.fit`` on all
devices. A step on features takes microseconds, which is less than distributing it would take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.cuts.connections import Connection
from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.features.cache import FeatureCache, Features, frozen_frontier, starts_at_cut
from compressor_lib.features.compiled_tails import TrainedPartCache, as_blocks, can_be_recompiled, copy_state
from compressor_lib.support.strategies import scope_of

# The arguments that a fit on cached features supports; with any other, Keras' own fit is used.
_SUPPORTED = {"x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_data", "class_weight",
               "initial_epoch", "validation_freq", "shuffle"}  # fmt: skip


class CachedTraining:
    """Trains classifiers on sub-networks of one frozen backbone, which runs once over each dataset.

    Attributes:
        cache: Outputs of the backbone.
    """

    def __init__(
        self, base: keras.Model, connections: Sequence[Connection], *, memory: int | ArrayStore | None = None
    ) -> None:
        """Prepares the cache without computing anything.

        Args:
            base: The backbone, without a head.
            connections: All connections whose classifiers may be trained.
            memory: Memory in bytes for cached features; further features go to disk. None for no limit. A store, if
                several networks share one.
        """
        self.held_out = 0
        """Number of validation examples of the last :meth:`fit`."""
        self._base = base
        self.cache = FeatureCache(base, connections, memory=memory)
        self._parts = TrainedPartCache()
        self._datasets: dict[tuple[int, int], tuple[Any, Any, tf.data.Dataset]] = {}

    def dataset(self, x: Any, y: Any, batch_size: int | None) -> tf.data.Dataset | None:
        """Returns the finite dataset for ``fit`` arguments, the same object on every call; None if there is none."""
        if isinstance(x, tf.data.Dataset):
            return None if x.cardinality() == tf.data.INFINITE_CARDINALITY else x
        if not isinstance(x, np.ndarray | tf.Tensor) or y is None:
            return None
        key = (id(x), id(y))
        if key not in self._datasets:
            dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size or 32)
            self._datasets[key] = (x, y, dataset)  # x and y are kept alive, so that their IDs are not reused
        return self._datasets[key][2]

    def fit(
        self, model: keras.Model, connection: Connection, arguments: dict[str, Any]
    ) -> keras.callbacks.History | None:
        """Runs ``model.fit(**arguments)`` on cached features.

        Args:
            model: A compiled classifier on the sub-network of ``connection``. It is trained in place, and callbacks see
                it as usual.
            connection: The connection of the sub-network.
            arguments: Arguments of ``keras.Model.fit``.

        Returns:
            The history. None, without any effect, if the result could differ from ``model.fit``: the model trains
            layers before the cut, has its own training step, or cannot be read; the data is infinite or of an
            unsupported kind; or an argument is not supported.
        """
        self.held_out = 0
        batch_size = arguments.get("batch_size")
        train = self.dataset(arguments.get("x"), arguments.get("y"), batch_size)
        validation = arguments.get("validation_data")
        held = None if validation is None else self.dataset(*_as_pair(validation), batch_size)
        if train is None or (validation is not None and held is None) or arguments.keys() - _SUPPORTED:
            return None
        if tf.distribute.has_strategy():  # the variables created here would belong to the strategy
            return None
        frontier = self.frontier(model, connection)
        if frontier is None:
            return None
        features = self.cache.features(model, connection, frontier, train)
        if held is not None:
            kept = self.cache.features(model, connection, frontier, held)
            self.held_out = len(kept.labels)
            validation = _as_blocks(kept, shuffle=False)
        shuffle = bool(arguments.get("shuffle", True))
        # The part shares its layers with the model. The compiled part is already traced, or will be.
        part = keras.Model(model.get_layer(frontier).output, model.output)
        compiled = self._parts.compiled_like(part, model, batch_size=batch_size or features.batch_size, shuffle=shuffle)
        model.stop_training = False
        callbacks = keras.callbacks.CallbackList(
            [_CopyWeights(compiled, part, model), *(arguments.get("callbacks") or []), _ForwardStop(compiled)],
            add_history=True,
            model=model,
        )
        compiled.history = model.history
        passed_on = {
            name: value for name, value in arguments.items() if name not in ("x", "y", "batch_size", "shuffle")
        }
        with _shared_optimizer(compiled, model), _deferred_saves(model, part):
            return compiled.fit(
                _as_blocks(features, shuffle),
                **passed_on
                | {
                    "callbacks": callbacks,
                    "validation_data": validation,
                    "shuffle": False,
                },  # the part shuffles
            )

    def frontier(self, model: keras.Model, connection: Connection) -> str | None:
        """Returns the layer whose output can be cached for this model; if None, :meth:`fit` has no effect."""
        if type(model).train_step is not keras.Model.train_step or not can_be_recompiled(model):
            return None
        try:
            frontier = frozen_frontier(model)
        except CompressorError:  # its graph cannot be read
            return None
        if frontier is None or not starts_at_cut(model, self._base, connection, frontier):
            return None
        return frontier


@contextmanager
def _shared_optimizer(compiled: keras.Model, model: keras.Model) -> Iterator[None]:
    """Shows callbacks the compiled part's optimizer as the model's, whose own then continues from its state."""
    own = model.optimizer
    model.optimizer = compiled.optimizer
    try:
        yield
    finally:
        model.optimizer = own
        with scope_of(model):
            if not own.built:
                own.build(model.trainable_variables)
            for mine, theirs in zip(own.variables, compiled.optimizer.variables, strict=True):
                mine.assign(theirs)


class _CopyWeights(keras.callbacks.Callback):
    """Copies the weights of the compiled part to the model's layers before other callbacks run."""

    def __init__(self, compiled: keras.Model, part: keras.Model, whole: keras.Model) -> None:
        super().__init__()
        self._compiled, self._part, self._whole = compiled, part, whole

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        with scope_of(self._whole):
            copy_state(self._compiled, self._part)


class _ForwardStop(keras.callbacks.Callback):
    """Stops training of the compiled part when a callback stops the model."""

    def __init__(self, compiled: keras.Model) -> None:
        super().__init__()
        self._compiled = compiled

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._compiled.stop_training = self.model.stop_training


@contextmanager
def _deferred_saves(model: keras.Model, part: keras.Model) -> Iterator[None]:
    """Defers each ``model.save_weights`` until training ends, with the weights at the time of the call.

    A tuner saves the model at every new best epoch. Writing the frozen network takes longer than the epoch, and only
    the trained part differs between two calls. So its weights are kept in memory, and each file is written once.
    """
    save, deferred = model.save_weights, {}

    def defer(filepath: Any, *args: Any, **kwargs: Any) -> None:
        deferred[str(filepath)] = (part.get_weights(), args, kwargs)

    model.save_weights = defer
    try:
        yield
    finally:
        del model.save_weights
        last = part.get_weights()
        with scope_of(model):
            for filepath, (weights, args, kwargs) in deferred.items():
                part.set_weights(weights)
                save(filepath, *args, **kwargs)
            part.set_weights(last)


def _as_pair(validation: Any) -> tuple[Any, Any]:
    if isinstance(validation, tuple) and len(validation) == 2:
        return validation
    return validation, None


def _as_blocks(features: Features, shuffle: bool) -> tf.data.Dataset:
    weights = () if features.sample_weight is None else (features.sample_weight,)
    return as_blocks(features.values, features.labels, *weights, shuffle=shuffle)
