"""The trained parts of classifiers on frozen networks, traced once for all trials with the same structure.

A training step on features takes microseconds, so Keras' overhead would dominate: tracing a graph for each model,
setting up a dataset, one call per step. A trained part runs a whole epoch in one call of one graph. Trials whose
trained layers have the same shapes take turns in it.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from compressor_lib.objective.metrics import AccuracyCompression

_VALIDATION_BATCH = 1024
_BLOCK_BYTES = 128 * 2**20


def as_blocks(*columns: npt.NDArray[Any], shuffle: bool) -> tf.data.Dataset:
    """Returns a dataset for a :class:`TrainedPart`: all examples at once, or random blocks that fit into memory.

    Args:
        columns: Arrays ``[examples, ...]``, which may be memory-mapped.
        shuffle: Whether each block holds a random sample of the examples, drawn from NumPy's generator.
    """
    count = len(columns[0])
    rows = max(1, _BLOCK_BYTES * count // max(1, sum(column.nbytes for column in columns)))
    if rows >= count:
        return tf.data.Dataset.from_tensors(columns)

    def blocks() -> Iterator[tuple[npt.NDArray[Any], ...]]:
        order = np.random.permutation(count) if shuffle else np.arange(count)
        for start in range(0, count, rows):
            chosen = np.sort(order[start : start + rows])  # to read files sequentially
            yield tuple(column[chosen] for column in columns)

    signature = tuple(tf.TensorSpec((None, *column.shape[1:]), column.dtype) for column in columns)
    dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature).prefetch(1)
    return dataset.apply(tf.data.experimental.assert_cardinality(math.ceil(count / rows)))


class TrainedPart(keras.Model):
    """A functional model that trains and evaluates on whole blocks of examples.

    Each element of its datasets is a block ``(x, y)`` or ``(x, y, sample_weight)`` of any length. The graph splits it
    into batches, in an order that depends on :attr:`seed` and the number of steps taken.
    """

    train_function: Any
    test_function: Any

    def prepare(self, batch_size: int, shuffle: bool) -> None:
        """Sets the batch size and shuffling of blocks. Must be called before training."""
        self._batch_size, self._shuffle = batch_size, shuffle
        # In a dict, so that Keras does not track it as a weight of the network.
        self._state = {"seed": tf.Variable(0, dtype=tf.int32)}

    @property
    def seed(self) -> tf.Variable:
        """Seed of the order of examples, int32."""
        return self._state["seed"]

    def make_train_function(self, force: bool = False) -> None:
        """Sets Keras' train function, which trains on one block per call."""
        if self.train_function is None or force:
            self.train_function = self._over_blocks(self.train_step, self._batch_size, self._order)

    def make_test_function(self, force: bool = False) -> None:
        """Sets Keras' test function, which evaluates one block per call."""
        if self.test_function is None or force:
            self.test_function = self._over_blocks(self.test_step, _VALIDATION_BATCH, tf.range)

    def _order(self, count: tf.Tensor) -> tf.Tensor:
        if not self._shuffle:
            return tf.range(count)
        taken = tf.cast(self.optimizer.iterations.value, tf.int32)
        return tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([self.seed, taken]))

    def _over_blocks(
        self, step: Callable[[Any], Any], batch_size: int, order: Callable[[tf.Tensor], tf.Tensor]
    ) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
        def over_block(iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
            block = next(iterator)
            count = tf.shape(block[0])[0]
            rows = order(count)

            def one_batch(start: tf.Tensor) -> tuple[tf.Tensor]:
                chosen = rows[start : start + batch_size]
                step(tuple(tf.gather(column, chosen) for column in block))
                return (start + batch_size,)

            tf.while_loop(lambda start: start < count, one_batch, (tf.constant(0),), parallel_iterations=1)
            return self.get_metrics_result()

        traced: dict[Any, Any] = {}

        def call(iterator: Any) -> dict[str, tf.Tensor]:
            # One tf.function for all would warn of retracing, because it treats the same code in another part as its
            # own.
            if iterator.element_spec not in traced:
                function = tf.function(over_block, autograph=False)
                traced[iterator.element_spec] = function.get_concrete_function(iterator)
            return traced[iterator.element_spec](iterator)

        return call


class TrainedPartCache:
    """Finds the traced part for a trial's model, or creates it."""

    def __init__(self) -> None:
        self._known: dict[str, _CachedPart] = {}

    def compiled_like(self, part: keras.Model, model: keras.Model, *, batch_size: int, shuffle: bool) -> TrainedPart:
        """Returns a freshly initialised part with the weights of ``part``, compiled like ``model``.

        The same object is returned for every part with the same structure.

        Args:
            part: The trained part of ``model``, functional.
            model: A model for which :func:`can_be_recompiled` is true.
            batch_size: Examples per step.
            shuffle: Whether each epoch has its own order.
        """
        compiled = model.get_compile_config()
        held = _pop_variables(compiled)
        key = json.dumps([_canonical(part), compiled, batch_size, shuffle], sort_keys=True)
        if key not in self._known:
            self._known[key] = _CachedPart.make(part, model, batch_size, shuffle)
        return self._known[key].reset(part, held)


def can_be_recompiled(model: keras.Model) -> bool:
    """Returns whether the model's loss, metrics and optimizer can be rebuilt from their configuration."""
    try:
        config = model.get_compile_config()
        json.dumps(config)
        keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError, NotImplementedError):  # a function or class that is not registered with Keras
        return False
    return True


class _CachedPart:
    """A compiled part and its initial state."""

    def __init__(self, compiled: TrainedPart, metrics: list[AccuracyCompression]) -> None:
        self._compiled = compiled
        self._metrics = metrics
        self._new = [variable.numpy() for variable in compiled.optimizer.variables]

    @classmethod
    def make(cls, part: keras.Model, model: keras.Model, batch_size: int, shuffle: bool) -> _CachedPart:
        alike = keras.models.clone_model(part)
        compiled = TrainedPart(alike.inputs[0], alike.outputs[0])
        compiled.prepare(batch_size, shuffle)
        arguments = keras.saving.deserialize_keras_object(model.get_compile_config())
        compiled.compile(**{**arguments, "jit_compile": False, "steps_per_execution": 1, "run_eagerly": False})
        compiled.optimizer.build(compiled.trainable_variables)
        metrics = keras.tree.flatten([arguments.get("metrics"), arguments.get("weighted_metrics")])
        return cls(compiled, [metric for metric in metrics if isinstance(metric, AccuracyCompression)])

    def reset(self, part: keras.Model, held: dict[str, Any]) -> TrainedPart:
        copy_state(part, self._compiled)
        for variable, value in zip(self._compiled.optimizer.variables, self._new, strict=True):
            variable.assign(value)
        if "learning_rate" in held:
            self._compiled.optimizer.learning_rate = held["learning_rate"]
        for metric, network in zip(self._metrics, held["networks"], strict=True):
            metric.set_network(**network)
        # Drawn from NumPy's generator, which keras.utils.set_random_seed seeds.
        self._compiled.seed.assign(np.random.randint(2**31 - 1))
        return self._compiled


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copies every layer's weights and random state to the layer at the same position in ``target``."""
    for theirs, mine in zip(source.layers, target.layers, strict=True):
        for value, variable in zip(theirs.variables, mine.variables, strict=True):
            variable.assign(value)


def _pop_variables(compile_config: dict[str, Any]) -> dict[str, Any]:
    """Removes the values that a traced part holds in variables from a compile configuration, and returns them."""
    held: dict[str, Any] = {"networks": []}
    optimizer = (compile_config.get("optimizer") or {}).get("config", {})
    optimizer.pop("name", None)  # Keras numbers them
    if isinstance(optimizer.get("learning_rate"), float):
        held["learning_rate"] = optimizer.pop("learning_rate")

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("class_name") == AccuracyCompression.__name__:
                held["networks"].append({key: value["config"].pop(key) for key in ("compression_rate", "penalty")})
            for inner in value.values():
                visit(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                visit(inner)

    visit([compile_config.get("metrics"), compile_config.get("weighted_metrics")])
    return held


def _canonical(part: keras.Model) -> str:
    """Returns the configuration of a functional model as text without layer names, for comparison."""
    config = part.get_config()
    numbers = itertools.count()
    names = {layer["name"]: f"#{next(numbers)}" for layer in config["layers"]}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(inner) for inner in value]
        return names.get(value, value) if isinstance(value, str) else value

    return json.dumps(
        renamed({"layers": config["layers"], "trainable": [layer.trainable for layer in part.layers]}),
        sort_keys=True,
    )
