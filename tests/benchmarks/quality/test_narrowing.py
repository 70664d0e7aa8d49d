from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.quality.magnitude_pruning import magnitude_pruned
from benchmarks.quality.narrowing import Narrowing


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Inverted residual blocks, with random weights and statistics."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(images)
    for block in range(2):
        hidden = keras.layers.Conv2D(48, 1, use_bias=False, name=f"expand_{block}")(x)
        hidden = keras.layers.BatchNormalization(name=f"expand_bn_{block}")(hidden)
        hidden = keras.layers.ReLU(6.0, name=f"expand_relu_{block}")(hidden)
        hidden = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise_{block}")(hidden)
        hidden = keras.layers.ReLU(6.0, name=f"depthwise_relu_{block}")(hidden)
        hidden = keras.layers.Conv2D(16, 1, use_bias=False, name=f"project_{block}")(hidden)
        x = keras.layers.Add(name=f"add_{block}")([x, hidden])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(images, keras.layers.Dense(5, name="classifier")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 2, (64, 16, 16, 3)).astype(np.float32)


def error(network: keras.Model, other: keras.Model, images: np.ndarray) -> float:
    expected = network.predict(images, verbose=0)
    return float(np.square(other.predict(images, verbose=0) - expected).mean() / np.square(expected).mean())


def narrowing(network: keras.Model, images: np.ndarray) -> Narrowing:
    labels = np.zeros(len(images), np.int64)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)
    return Narrowing(network, ["project_0", "project_1"], batches)


def test_at_full_width_nothing_changes(network, images):
    assert error(network, magnitude_pruned(network, 1.0), images) < 1e-12
    assert error(network, narrowing(network, images).narrowed(1.0), images) < 1e-9


def test_a_channel_that_is_a_copy_of_another_costs_nothing(network, images):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    for name in ("expand_0", "expand_bn_0", "depthwise_0"):
        layer = copy.get_layer(name)
        weights = layer.get_weights()
        for weight in weights:
            channels = weight[0, 0] if weight.ndim == 4 and name == "depthwise_0" else weight
            if name == "depthwise_0":
                weight[:, :, 24:] = weight[:, :, :24]
            else:
                channels[..., 24:] = channels[..., :24]
        layer.set_weights(weights)
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images), np.int64))).batch(32)
    half = Narrowing(copy, ["project_0"], batches).narrowed(0.5)
    assert half.get_layer("expand_0").output.shape[-1] == 24
    assert error(copy, half, images) < 1e-4


def test_solving_anew_beats_leaving_out(network, images):
    narrow = narrowing(network, images)
    solved, left_out = narrow.narrowed(0.5), narrow.shape(0.5)
    assert solved.count_params() == left_out.count_params() < network.count_params()
    assert error(network, solved, images) < 0.5 * error(network, left_out, images)


def test_channels_that_are_added_go_together(network, images):
    narrow = magnitude_pruned(network, 0.5)
    assert {narrow.get_layer(name).output.shape[-1] for name in ("stem", "project_0", "add_1")} == {8}
    assert narrow.predict(images, verbose=0).shape == (64, 5)
