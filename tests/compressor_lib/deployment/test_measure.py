from __future__ import annotations

import keras

from compressor_lib.deployment.measure import count_parameters


def network(width: int, size: int = 32) -> keras.Model:
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(width, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def test_parameters_are_all_numbers_frozen_or_not():
    model = network(4)
    expected = (3 * 9 + 1) * 4 + 4 * 4 + (4 * 9 + 1) * 4 + (4 + 1) * 2
    assert count_parameters(model) == expected
    model.trainable = False
    assert count_parameters(model) == expected
