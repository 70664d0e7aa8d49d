from __future__ import annotations

from collections import Counter

import keras
import numpy as np
import pytest
from tensorflow.lite.tools import flatbuffer_utils

from compressor_lib.deployment.tflite import tflite_predict, to_tflite
from compressor_lib.deployment.tflite_padding import with_folded_padding

layers = keras.layers


def operators(tflite: bytes) -> Counter[str]:
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(tflite))
    return Counter(flatbuffer_utils.opcode_to_name(model, each.opcodeIndex) for each in model.subgraphs[0].operators)


def classifier(size: int, *inner: keras.layers.Layer) -> keras.Model:
    """A classifier with the given layers in front of its head, whose classes differ between images."""
    keras.utils.set_random_seed(0)
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(images)
    for layer in inner:
        x = layer(x)
    return keras.Model(images, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))


def padding_of(size: int, padding: object, convolution: keras.layers.Layer) -> keras.Model:
    return classifier(size, layers.ZeroPadding2D(padding), convolution)


@pytest.mark.parametrize(
    "model",
    [
        lambda: padding_of(16, ((0, 1), (0, 1)), layers.Conv2D(4, 3, strides=2, bias_initializer="ones")),
        lambda: padding_of(15, 1, layers.DepthwiseConv2D(3, strides=2, bias_initializer="ones")),
        lambda: padding_of(16, ((1, 2), (1, 2)), layers.Conv2D(4, 5, strides=2)),
        lambda: padding_of(9, 1, layers.Conv2D(4, 3)),
    ],
    ids=["even", "odd", "kernel of 5", "stride 1"],
)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_padding_that_equals_same_is_folded_without_changing_predictions(model, precision, pixels):
    network = model()
    images = pixels(8, network.input_shape[1]).astype(np.uint8)
    tflite = to_tflite(network, precision=precision, calibration=images)
    assert operators(tflite)["PAD"] == 0
    expected = network(images.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(tflite_predict(tflite, images), expected, atol=1e-5 if precision == "float32" else 0.02)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_predictions_are_the_same_to_the_bit(precision, pixels, monkeypatch):
    network = padding_of(16, ((0, 1), (0, 1)), layers.Conv2D(4, 3, strides=2, bias_initializer="ones"))
    images = pixels(8, 16).astype(np.uint8)
    with monkeypatch.context() as without:
        without.setattr("compressor_lib.deployment.tflite.with_folded_padding", lambda tflite: tflite)
        padded = to_tflite(network, precision=precision, calibration=images)
    folded = with_folded_padding(padded)
    assert operators(padded)["PAD"] == 1
    assert operators(folded) == operators(padded) - Counter(PAD=1)
    np.testing.assert_array_equal(tflite_predict(folded, images), tflite_predict(padded, images))
    assert with_folded_padding(folded) is folded


@pytest.mark.parametrize(
    "model",
    [
        lambda: padding_of(16, 1, layers.Conv2D(4, 3, strides=2)),
        lambda: padding_of(16, 2, layers.Conv2D(4, 3)),
        lambda: padding_of(16, 1, layers.MaxPooling2D(3, strides=1)),
    ],
    ids=["same pads on the other side", "more than same", "pooling"],
)
def test_any_other_padding_stays(model, pixels):
    network = model()
    images = pixels(4, 16)
    tflite = to_tflite(network)
    assert sum(count for name, count in operators(tflite).items() if name.startswith("PAD")) == 1
    np.testing.assert_allclose(tflite_predict(tflite, images), network(images, training=False).numpy(), atol=1e-5)


def test_a_padding_that_two_convolutions_read_is_folded_into_both(pixels):
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(layers.Rescaling(1 / 255)(images))
    x = layers.Add()([layers.Conv2D(4, 3, strides=2)(padded), layers.Conv2D(4, 3, strides=2)(padded)])
    network = keras.Model(images, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    tflite = to_tflite(network)
    assert operators(tflite)["PAD"] == 0
    pixel = pixels(4, 16)
    np.testing.assert_allclose(tflite_predict(tflite, pixel), network(pixel, training=False).numpy(), atol=1e-5)
