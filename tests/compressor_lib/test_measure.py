from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from compressor_lib.measure import count_parameters, tflite_accuracy
from compressor_lib.tflite import to_tflite


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


def test_accuracy_is_the_share_of_pictures_named_rightly(tmp_path):
    def brighter(sign: float) -> keras.Model:
        """Names a picture 1 if it is brighter than the middle, or the other way round."""
        inputs = keras.Input((4, 4, 3))
        x = keras.layers.Rescaling(sign / 127.5, -sign)(keras.layers.GlobalAveragePooling2D()(inputs))
        dense = keras.layers.Dense(2, activation="softmax")
        model = keras.Model(inputs, dense(x))
        dense.set_weights([np.tile([-1.0, 1.0], (3, 1)), np.zeros(2)])
        return model

    paths = {name: tmp_path / name for name in ("right", "wrong")}
    for name, sign in (("right", 1.0), ("wrong", -1.0)):
        paths[name].write_bytes(to_tflite(brighter(sign)))
    levels = np.array([0, 30, 60, 200, 250], np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (5, 4, 4, 3))
    batches = tf.data.Dataset.from_tensor_slices((pictures, np.array([0, 0, 1, 1, 1]))).batch(2)
    assert tflite_accuracy(paths, batches) == {"right": 0.8, "wrong": 0.2}
