from __future__ import annotations

import keras
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.macs import layer_multiply_adds, multiply_adds

layers = keras.layers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alpha", "millions"),
    [
        ("MobileNetV2", 1.0, 300),  # Sandler et al. 2018, Table 4
        ("MobileNetV2", 0.35, 59),  # the authors' table of checkpoints
        ("MobileNet", 1.0, 569),  # Howard et al. 2017, Table 4
    ],
)
def test_published_figures(name, alpha, millions):
    model = getattr(keras.applications, name)(weights=None, alpha=alpha)
    assert multiply_adds(model) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (layers.Conv2D(4, 3, padding="same"), (8, 6, 5), 8 * 6 * 3 * 3 * 5 * 4),
        (layers.Conv2D(4, (3, 2), strides=2), (9, 6, 5), 4 * 3 * 3 * 2 * 5 * 4),
        (layers.Conv2D(6, 3, groups=2, padding="same"), (8, 8, 4), 8 * 8 * 3 * 3 * 2 * 6),
        (layers.Conv2D(4, 3, padding="same", dilation_rate=2), (8, 6, 5), 8 * 6 * 3 * 3 * 5 * 4),
        (layers.Conv2D(4, 3, data_format="channels_first"), (5, 8, 6), 6 * 4 * 3 * 3 * 5 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 6, 5), 6 * 4 * 3 * 3 * 5 * 2),
        (layers.SeparableConv2D(7, 3, strides=2, padding="same"), (8, 6, 5), 4 * 3 * (3 * 3 * 5 + 5 * 7)),
        (layers.Conv2DTranspose(4, 3, strides=2), (8, 6, 5), 8 * 6 * 3 * 3 * 5 * 4),
        (layers.Dense(7), (5,), 5 * 7),
        (layers.Dense(7), (8, 6, 5), 8 * 6 * 5 * 7),
        (layers.BatchNormalization(), (8, 6, 5), 0),
        (layers.MaxPooling2D(), (8, 6, 5), 0),
    ],
)
def test_hand_counts(layer, shape, count):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    assert layer_multiply_adds(layer) == multiply_adds(model) == count


def test_a_nested_model_counts():
    inner = keras.Sequential([keras.Input((8, 6, 5)), layers.Conv2D(4, 1), layers.Flatten()])
    inputs = keras.Input((8, 6, 5))
    model = keras.Model(inputs, layers.Dense(3)(inner(inputs)))
    assert multiply_adds(model) == 8 * 6 * 5 * 4 + 8 * 6 * 4 * 3


def test_variable_input_size_is_rejected():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 1, name="first")(inputs))
    with pytest.raises(CompressorError, match="'first' depend on the image's size"):
        multiply_adds(model)


def test_layer_used_twice_is_rejected():
    inputs, dense = keras.Input((3,)), layers.Dense(3)
    with pytest.raises(CompressorError, match="used more than once"):
        multiply_adds(keras.Model(inputs, dense(dense(inputs))))
