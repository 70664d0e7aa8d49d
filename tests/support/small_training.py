"""A training of seconds: a tiny network, and images whose class is their brightest channel."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.training.options import Augmentation, TrainingOptions

CLASSES, SIZE = 3, 8
STILL = Augmentation(flip=False, rotation=0, zoom=0, translation=0, contrast=0)


def network(classes: int = CLASSES) -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocess")(inputs)
    # Without a bias: in front of a batch norm that learns it has no gradient but rounding errors, which Adam blows up.
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(momentum=0.999, name="stem_bn")(x)
    x = keras.layers.ReLU(name="stem_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="top_gap")(x)
    x = keras.layers.Dense(classes, activation="softmax", name="classifier")(x)
    return keras.Model(inputs, x)


def data(count: int = 48, seed: int = 0, batch: int = 8) -> tf.data.Dataset:
    """Images whose class is their brightest channel."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.integers(0, 100, (count, SIZE, SIZE, 3))
    images[np.arange(count), :, :, labels] += 100
    dataset = tf.data.Dataset.from_tensor_slices((images.astype(np.uint8), labels))
    return dataset.batch(batch)


def options(**changed) -> TrainingOptions:
    return TrainingOptions(**{"head_epochs": 1, "epochs": 1, "augmentation": STILL, **changed})


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
