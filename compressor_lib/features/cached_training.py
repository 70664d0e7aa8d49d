"""Training on cached features: what ``model.fit`` would do, without running the frozen part again.

A model that was built under a ``tf.distribute`` strategy is trained on one device, to what ``model.fit`` would come to
on all: a step on features takes microseconds, less than to share it out.
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
from compressor_lib.features.cache import FeatureCache, Features, frozen_frontier, starts_at_cut
from compressor_lib.features.compiled_tails import TrainedParts, as_blocks, can_be_recompiled, copy_state
from compressor_lib.support.strategies import scope_of

# What a fit on cached features understands; anything else goes the plain way.
_UNDERSTOOD = {"x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_data", "class_weight",
               "initial_epoch", "validation_freq", "shuffle"}  # fmt: skip


class CachedTraining:
    """Trains classifiers on sub-networks of one frozen backbone, which runs once over each data set.

    Attributes:
        cache: What the backbone computed.
    """

    def __init__(self, base: keras.Model, connections: Sequence[Connection], *, memory: int | None = None) -> None:
        """Prepares; nothing is computed yet.

        Args:
            base: The backbone, without its head.
            connections: All connections whose classifiers may be trained.
            memory: Bytes of memory for cached features; those beyond go to disk. None for no limit.
        """
        self.held_out = 0
        """Validation examples of the last :meth:`fit`."""
        self._base = base
        self.cache = FeatureCache(base, connections, memory=memory)
        self._parts = TrainedParts()
        self._datasets: dict[tuple[int, int], tuple[Any, Any, tf.data.Dataset]] = {}

    def dataset(self, x: Any, y: Any, batch_size: int | None) -> tf.data.Dataset | None:
        """The finite data set behind arguments of ``fit``, the same object at every call; None if there is none."""
        if isinstance(x, tf.data.Dataset):
            return None if x.cardinality() == tf.data.INFINITE_CARDINALITY else x
        if not isinstance(x, np.ndarray | tf.Tensor) or y is None:
            return None
        key = (id(x), id(y))
        if key not in self._datasets:
            dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size or 32)
            self._datasets[key] = (x, y, dataset)  # x and y are held so that their ids stay theirs
        return self._datasets[key][2]

    def fit(
        self, model: keras.Model, connection: Connection, arguments: dict[str, Any]
    ) -> keras.callbacks.History | None:
        """Does ``model.fit(**arguments)`` on cached features.

        Args:
            model: A compiled classifier on the sub-network of ``connection``. It is trained in place, and
                callbacks see it as they would otherwise.
            connection: Which sub-network.
            arguments: Those of ``keras.Model.fit``.

        Returns:
            The history. None, with nothing done, where this would not be the same as the plain way: the model
            trains what stands in front of the cut, has its own training step, or cannot be read; the data is
            endless or of another kind; or an argument is not understood here.
        """
        self.held_out = 0
        batch_size = arguments.get("batch_size")
        train = self.dataset(arguments.get("x"), arguments.get("y"), batch_size)
        validation = arguments.get("validation_data")
        held = None if validation is None else self.dataset(*_as_pair(validation), batch_size)
        if train is None or (validation is not None and held is None) or arguments.keys() - _UNDERSTOOD:
            return None
        if tf.distribute.has_strategy():  # what is made here would be its, too
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
        # It shares its layers with the model; its twin is traced already, or will be.
        part = keras.Model(model.get_layer(frontier).output, model.output)
        twin = self._parts.twin(part, model, batch_size=batch_size or features.batch_size, shuffle=shuffle)
        model.stop_training = False
        callbacks = keras.callbacks.CallbackList(
            [_Following(twin, part, model), *(arguments.get("callbacks") or []), _StopWith(twin)],
            add_history=True,
            model=model,
        )
        twin.history = model.history
        passed_on = {
            name: value for name, value in arguments.items() if name not in ("x", "y", "batch_size", "shuffle")
        }
        with _optimizer_of(twin, model), _saved_at_the_end(model, part):
            return twin.fit(
                _as_blocks(features, shuffle),
                **passed_on
                | {"callbacks": callbacks, "validation_data": validation, "shuffle": False},  # the part does
            )

    def frontier(self, model: keras.Model, connection: Connection) -> str | None:
        """The layer whose output can be cached for this model, if any; without one :meth:`fit` does nothing."""
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
def _optimizer_of(twin: keras.Model, model: keras.Model) -> Iterator[None]:
    """Lets callbacks see the twin's optimizer in the model, whose own one then goes on where that ends."""
    own = model.optimizer
    model.optimizer = twin.optimizer
    try:
        yield
    finally:
        model.optimizer = own
        with scope_of(model):
            if not own.built:
                own.build(model.trainable_variables)
            for mine, theirs in zip(own.variables, twin.optimizer.variables, strict=True):
                mine.assign(theirs)


class _Following(keras.callbacks.Callback):
    """Gives the model's own layers what their twin has learnt, before other callbacks look."""

    def __init__(self, twin: keras.Model, part: keras.Model, whole: keras.Model) -> None:
        super().__init__()
        self._twin, self._part, self._whole = twin, part, whole

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        with scope_of(self._whole):
            copy_state(self._twin, self._part)


class _StopWith(keras.callbacks.Callback):
    """Stops the twin when a callback stopped the model."""

    def __init__(self, twin: keras.Model) -> None:
        super().__init__()
        self._twin = twin

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self._twin.stop_training = self.model.stop_training


@contextmanager
def _saved_at_the_end(model: keras.Model, part: keras.Model) -> Iterator[None]:
    """Puts off each ``model.save_weights`` until training ends, with the weights it was called at.

    A tuner saves at every best epoch. Writing the frozen network takes longer than the epoch, and only the
    trained part differs between two calls; so its weights are noted, and each file is written once.
    """
    save, noted = model.save_weights, {}

    def note(filepath: Any, *args: Any, **kwargs: Any) -> None:
        noted[str(filepath)] = (part.get_weights(), args, kwargs)

    model.save_weights = note
    try:
        yield
    finally:
        del model.save_weights
        last = part.get_weights()
        with scope_of(model):
            for filepath, (weights, args, kwargs) in noted.items():
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
