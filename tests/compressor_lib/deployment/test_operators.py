from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.deployment.operators import operator_files, operators
from compressor_lib.deployment.tflite import tflite_interpreter, to_tflite


@pytest.fixture(scope="module")
def network() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.MaxPooling2D(2)(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


FLOAT32 = [
    "conv_2d-3x3x3-s2x2-8x8x3-4x4x4-float32",
    "depthwise_conv_2d-3x3x4-s1x1-4x4x4-4x4x4-float32",
    "add-4x4x4+4x4x4-4x4x4-float32",
    "max_pool_2d-2x2-s2x2-4x4x4-2x2x4-float32",
    "mean-2x2x4-4-float32",
    "fully_connected-4-3-float32",
    "softmax-3-3-float32",
]


def test_operators_are_named_by_kind_kernel_and_shapes(network):
    assert operators(to_tflite(network)) == FLOAT32


def test_a_float16_file_computes_in_float32(network):
    assert operators(to_tflite(network, precision="float16")) == FLOAT32


def test_int8_operators_have_names_of_their_own(network, pixels):
    names = operators(to_tflite(network, precision="int8", calibration=pixels(4, 8)))
    assert names[0] == "quantize-8x8x3-8x8x3-int8"
    assert names[-1] == "quantize-3-3-uint8"
    assert names[1:-1] == [name.replace("float32", "int8") for name in FLOAT32]


def test_dilated_kernels_differ():
    inputs = keras.Input((8, 8, 3))
    dilated = keras.Model(inputs, keras.layers.Conv2D(4, 3, dilation_rate=2, padding="same")(inputs))
    assert "conv_2d-3x3x3-s1x1-d2x2-8x8x3-8x8x4-float32" in operators(to_tflite(dilated))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_operators_alone_compute_what_the_network_does(network, pixels, precision):
    tflite = to_tflite(network, precision=precision, calibration=pixels(4, 8))
    files = operator_files(tflite)
    assert list(files) == operators(tflite)
    interpreter = tflite_interpreter(tflite)
    image = np.asarray(pixels(1, 8), interpreter.get_input_details()[0]["dtype"])
    values = [image]
    for name, content in files.items():
        alone = tflite_interpreter(content)
        assert operators(content) == [name]
        given = alone.get_input_details()
        for detail, value in zip(given, values[-len(given) :], strict=True):
            alone.set_tensor(detail["index"], value)
        alone.invoke()
        values.append(alone.get_tensor(alone.get_output_details()[0]["index"]))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    whole = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(values[-1], whole, atol=1 if precision == "int8" else 1e-5)
