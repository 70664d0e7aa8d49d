"""Small networks that several modules are tried on; each is built once and must be left as it is."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.networks.backbones import BACKBONES

CLASSES = 3


def shake(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives batch norms averages as if they had been trained; a fresh one does next to nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.set_weights(
                [
                    rng.uniform(0.8, 1.2, size),  # gamma
                    rng.normal(0, 0.1, size),  # beta
                    rng.normal(0, 0.1, size),  # mean
                    rng.uniform(0.3, 1.0, size),  # variance
                ]
            )
    return model


def residual_network() -> keras.Model:
    """16 px; skips around `conv_1` and `conv_2`; cut layers at 8 x 8 and 4 x 4 positions."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), name="images")
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="stem")(images)
    x = stem = layers.ReLU(name="stem_relu")(x)
    x = layers.Conv2D(6, 3, padding="same", name="conv_1")(x)
    x = layers.Add(name="add_1")([stem, x])
    x = layers.Conv2D(9, 1, name="expand")(x)
    x = layers.BatchNormalization(name="expand_bn")(x)
    x = layers.ReLU(6.0, name="expand_relu")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = project = layers.Conv2D(8, 1, name="project")(x)
    x = layers.Conv2D(8, 3, padding="same", name="conv_2")(x)
    x = layers.Add(name="add_2")([project, x])
    x = layers.Conv2D(10, 1, name="last")(x)
    x = layers.BatchNormalization(name="last_bn")(x)
    x = layers.ReLU(name="last_relu")(x)
    return shake(keras.Model(images, x, name="residual"))


@pytest.fixture
def eagerly():
    """Without tracing and XLA, which take longer than training such small networks."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def traced(eagerly, monkeypatch):
    """With tracing after all, as it is outside of tests, but without XLA."""
    monkeypatch.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: False)
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Asserts that two networks' outputs are equal, measured by their own size.

    Untrained networks answer with very small numbers, which any absolute tolerance would let pass.
    """

    def check(mine: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-4) -> None:
        mine, wanted = np.asarray(mine), np.asarray(wanted)
        size = np.abs(wanted).max()
        assert size > 0
        np.testing.assert_allclose(mine / size, wanted / size, rtol=0, atol=tolerance)

    return check


@pytest.fixture(scope="session")
def shaken() -> Callable[[keras.Model], keras.Model]:
    return shake


@pytest.fixture(scope="session")
def residual() -> keras.Model:
    return residual_network()


@pytest.fixture
def fresh_residual() -> keras.Model:
    """One that a test may change; its weights are those of `residual`."""
    return residual_network()


@pytest.fixture(scope="session")
def mobilenet_v2() -> keras.Model:
    """MobileNetV2 0.35 at 32 px, fed with pixels."""
    keras.utils.set_random_seed(0)
    return shake(BACKBONES["MobileNetV2"].build(input_size=32, weights=None, alpha=0.35, preprocess=True))


@pytest.fixture(scope="session")
def published_size() -> Callable[[str], keras.Model]:
    """Builds a backbone of the catalogue as it was published, with random weights, once."""
    return functools.cache(lambda name: BACKBONES[name].build(weights=None))


@pytest.fixture(scope="session")
def pixels() -> Callable[..., np.ndarray]:
    """Makes images with some structure: `pixels(count, size, seed)`, float32 in 0..255."""

    def make(count: int = 8, size: int = 32, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = rng.uniform(0, 255, (count, 4, 4, 3)).astype(np.float32)
        fine = rng.uniform(-20, 20, (count, size, size, 3))
        smooth = tf.image.resize(coarse, (size, size)).numpy()
        return np.clip(smooth + fine, 0, 255).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def labelled() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Makes images whose class is their brightest channel, in about -1..1, and sparse labels."""

    def make(count: int = 48, size: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, CLASSES, count)
        x = rng.normal(0, 0.5, (count, size, size, 3))
        x[np.arange(count), :, :, y] += 0.7
        return x.astype(np.float32), y

    return make
