"""Training on one device, or on all of a machine."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

logger = logging.getLogger(__name__)


@contextmanager
def on_devices(
    strategy: str, model: keras.Model, teacher: keras.Model | None
) -> Iterator[tuple[keras.Model, keras.Model | None]]:
    """Yields the networks to train with, in the strategy's scope. Makes every layer trainable at the end."""
    try:
        if strategy == "none":
            yield model, teacher
            return
        with _mirrored().scope():
            yield _copy(model), _copy(teacher) if teacher else None
    finally:
        for layer in model.layers:
            layer.trainable = True


@functools.cache  # TensorFlow confuses the reductions of two strategies in the same process
def _mirrored() -> tf.distribute.Strategy:
    """Returns a strategy with a copy of each variable on every GPU, or on every logical CPU if there are no GPUs."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    logger.info("training on %d devices: %s", len(devices), ", ".join(device.name for device in devices))
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _copy(model: keras.Model) -> keras.Model:
    """Returns a copy of a network with its own variables, whose batch normalisation uses the images of all devices."""

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=cloned)
    copy.set_weights(model.get_weights())
    return copy
