"""Trained parts: what stands behind a frozen network, traced once for all trials that look alike.

On features a step takes microseconds, so what Keras does around it would dominate: tracing a graph for each model,
setting up a data set, one call a step. A trained part runs a whole epoch in one call of one graph, and trials whose
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
    """A data set for a :class:`TrainedPart`: all examples at once, or random blocks that fit into memory.

    Args:
        columns: Arrays ``[examples, ...]``, which may be mapped from a file.
        shuffle: Whether an epoch's blocks hold examples from anywhere; they are drawn from NumPy's generator.
    """
    count = len(columns[0])
    rows = max(1, _BLOCK_BYTES * count // max(1, sum(column.nbytes for column in columns)))
    if rows >= count:
        return tf.data.Dataset.from_tensors(columns)

    def blocks() -> Iterator[tuple[npt.NDArray[Any], ...]]:
        order = np.random.permutation(count) if shuffle else np.arange(count)
        for start in range(0, count, rows):
            chosen = np.sort(order[start : start + rows])  # files are read forwards
            yield tuple(column[chosen] for column in columns)

    signature = tuple(tf.TensorSpec((None, *column.shape[1:]), column.dtype) for column in columns)
    dataset = tf.data.Dataset.from_generator(blocks, output_signature=signature).prefetch(1)
    return dataset.apply(tf.data.experimental.assert_cardinality(math.ceil(count / rows)))


class TrainedPart(keras.Model):
    """A functional model that trains and evaluates on whole blocks of examples.

    Each element of its data sets is a block ``(x, y)`` or ``(x, y, sample_weight)`` of any length; batches are dealt
    from it inside the graph, in an order that follows from :attr:`seed` and the steps taken so far.
    """

    train_function: Any
    test_function: Any

    def prepare(self, batch_size: int, shuffle: bool) -> None:
        """Sets how blocks are dealt; before the first training."""
        self._batch_size, self._shuffle = batch_size, shuffle
        # In a list of its own: it is no weight of the network.
        self._state = {"seed": tf.Variable(0, dtype=tf.int32)}

    @property
    def seed(self) -> tf.Variable:
        """Seed of the order, int32."""
        return self._state["seed"]

    def make_train_function(self, force: bool = False) -> None:
        """Keras' hook: one call of the result trains on one block."""
        if self.train_function is None or force:
            self.train_function = self._over_blocks(self.train_step, self._batch_size, self._order)

    def make_test_function(self, force: bool = False) -> None:
        """Keras' hook: one call of the result evaluates one block."""
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
            # A function of TensorFlow's would warn of retracing: it takes the same code in another part for itself.
            if iterator.element_spec not in traced:
                function = tf.function(over_block, autograph=False)
                traced[iterator.element_spec] = function.get_concrete_function(iterator)
            return traced[iterator.element_spec](iterator)

        return call


class TrainedParts:
    """Finds, for the trained part of a trial's model, one that is traced already, or makes it."""

    def __init__(self) -> None:
        self._known: dict[str, _Ready] = {}

    def twin(self, part: keras.Model, model: keras.Model, *, batch_size: int, shuffle: bool) -> TrainedPart:
        """A part with the weights of ``part``, compiled like ``model``, as if it were new.

        It is handed out again at the next call with a part that looks alike.

        Args:
            part: What is trained of ``model``, functional.
            model: One that :func:`can_be_recompiled`.
            batch_size: Examples a step.
            shuffle: Whether each epoch has an order of its own.
        """
        compiled = model.get_compile_config()
        held = _take_variables(compiled)
        key = json.dumps([_canonical(part), compiled, batch_size, shuffle], sort_keys=True)
        if key not in self._known:
            self._known[key] = _Ready.make(part, model, batch_size, shuffle)
        return self._known[key].reset(part, held)


def can_be_recompiled(model: keras.Model) -> bool:
    """Whether the model's loss, metrics and optimizer can be had again from their configuration."""
    try:
        config = model.get_compile_config()
        json.dumps(config)
        keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError, NotImplementedError):  # a function or class that is not registered with Keras
        return False
    return True


class _Ready:
    """A compiled part, and how it was when it was new."""

    def __init__(self, twin: TrainedPart, metrics: list[AccuracyCompression]) -> None:
        self._twin = twin
        self._metrics = metrics
        self._new = [variable.numpy() for variable in twin.optimizer.variables]

    @classmethod
    def make(cls, part: keras.Model, model: keras.Model, batch_size: int, shuffle: bool) -> _Ready:
        alike = keras.models.clone_model(part)
        twin = TrainedPart(alike.inputs[0], alike.outputs[0])
        twin.prepare(batch_size, shuffle)
        arguments = keras.saving.deserialize_keras_object(model.get_compile_config())
        twin.compile(**{**arguments, "jit_compile": False, "steps_per_execution": 1, "run_eagerly": False})
        twin.optimizer.build(twin.trainable_variables)
        metrics = keras.tree.flatten([arguments.get("metrics"), arguments.get("weighted_metrics")])
        return cls(twin, [metric for metric in metrics if isinstance(metric, AccuracyCompression)])

    def reset(self, part: keras.Model, held: dict[str, Any]) -> TrainedPart:
        copy_state(part, self._twin)
        for variable, value in zip(self._twin.optimizer.variables, self._new, strict=True):
            variable.assign(value)
        if "learning_rate" in held:
            self._twin.optimizer.learning_rate = held["learning_rate"]
        for metric, network in zip(self._metrics, held["networks"], strict=True):
            metric.set_network(**network)
        # Drawn from NumPy's generator, which keras.utils.set_random_seed seeds.
        self._twin.seed.assign(np.random.randint(2**31 - 1))
        return self._twin


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Gives every layer's weights and random state to the layer at the same place in ``target``."""
    for theirs, mine in zip(source.layers, target.layers, strict=True):
        for value, variable in zip(theirs.variables, mine.variables, strict=True):
            variable.assign(value)


def _take_variables(compile_config: dict[str, Any]) -> dict[str, Any]:
    """Takes out of a compile configuration, in place, what a traced part holds in variables, and returns it."""
    held: dict[str, Any] = {"networks": []}
    optimizer = (compile_config.get("optimizer") or {}).get("config", {})
    optimizer.pop("name", None)  # Keras counts them
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
    """The configuration of a functional model, the same for all that differ in their layers' names alone."""
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
