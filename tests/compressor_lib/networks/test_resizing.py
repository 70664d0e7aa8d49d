from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.resizing import resized


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MobileNetV2", 48),
        pytest.param("MobileNetV2", 75, marks=pytest.mark.slow),
        pytest.param("MobileNet", 96, marks=pytest.mark.slow),
        pytest.param("MobileNetV3Small", 100, marks=pytest.mark.slow),
        pytest.param("EfficientNetB0", 75, marks=pytest.mark.slow),
    ],
)
def test_a_resized_network_is_the_catalogues_at_that_size_with_the_same_weights(name, size, shaken, pixels, agree):
    build = BACKBONES[name].build
    network = shaken(build(input_size=64, weights=None, preprocess=True))
    expected = build(input_size=size, weights=None, preprocess=True)
    expected.set_weights(network.get_weights())
    images = pixels(2, size)
    made = resized(network, size)
    agree(made(images, training=False), expected(images, training=False), tolerance=1e-6)
    assert [layer.name for layer in made.layers] == [layer.name for layer in network.layers]
    assert made.name == network.name


def test_the_original_stays_as_it_is(residual):
    before = residual.get_weights()
    made = resized(residual, 24)
    made.set_weights([np.zeros_like(weight) for weight in before])
    assert all(np.array_equal(*pair) for pair in zip(residual.get_weights(), before, strict=True))
    assert made.input_shape == (None, 24, 24, 3)


def test_a_network_of_that_size_is_returned_itself(residual):
    assert resized(residual, 16) is residual


def test_padding_that_does_not_depend_on_the_size_is_kept():
    images = keras.Input((32, 32, 3))
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)  # as in ResNet
    x = keras.layers.Conv2D(4, 7, strides=2, name="conv1")(x)
    made = resized(keras.Model(images, x), 21)
    assert made.get_layer("conv1_pad").padding == ((3, 3), (3, 3))
    assert made.output_shape == (None, 11, 11, 4)


def test_operations_are_kept():
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(images)
    made = resized(keras.Model(images, keras.layers.Conv2D(2, 1)(x + 2 * x)), 8)
    assert made.output_shape == (None, 8, 8, 2)


@pytest.mark.parametrize("kind", ["positions", "reshape", "small"])
def test_a_network_that_only_works_at_its_size_is_refused(kind):
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(images)
    if kind == "positions":
        x = keras.layers.Reshape((8, 8, 4))(keras.layers.Dense(256)(keras.layers.Flatten()(x)))
    elif kind == "reshape":
        x = keras.layers.Reshape((64, 4))(x)
    else:
        x = keras.layers.AveragePooling2D(8)(x)
    with pytest.raises(CompressorError, match="'tiny' cannot take images of 8 pixels: .*Leave that size out") as error:
        resized(keras.Model(images, x, name="tiny"), 8)
    assert error.value.argument == "input_sizes"
