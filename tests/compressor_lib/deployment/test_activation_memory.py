from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.deployment.activation_memory import activation_memory
from compressor_lib.deployment.tflite import to_tflite
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.heads import attach_head

layers = keras.layers
KIB = 1024


def black(model: keras.Model) -> np.ndarray:
    """The cheapest images for calibration: the memory depends on the shapes alone."""
    return np.zeros((1, *model.input_shape[1:]), np.uint8)


def memory(model: keras.Model, precision: str) -> int:
    return activation_memory(to_tflite(model, precision=precision, calibration=black(model)))


@pytest.fixture(scope="module")
def chain() -> keras.Model:
    """16x16x3 -> 16x16x4 -> 8x8x8, with a skip around the last convolution."""
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same")(images)
    skip = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    wide = layers.Conv2D(24, 1, activation="relu")(skip)
    x = layers.Add()([skip, layers.Conv2D(8, 3, padding="same")(wide)])
    return keras.Model(images, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_the_peak_is_the_largest_sum_of_live_tensors(chain, precision):
    # The second convolution of the block reads 8x8x24 and writes 8x8x8, while the skip's 8x8x8 waits.
    assert memory(chain, precision) == 8 * 8 * (24 + 8 + 8)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_image_and_its_copy_in_int8_count(precision):
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(2, 3, strides=4)(images)
    model = keras.Model(images, layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(x)))
    assert memory(model, precision) == 2 * 32 * 32 * 3


@pytest.mark.slow
def test_mobilenet_v2_needs_the_memory_that_st_measured():
    # 237 KiB in STMicroelectronics' model zoo (MobileNetV2 0.35, 128 px, int8).
    base = BACKBONES["MobileNetV2"].build(input_size=128, weights=None, alpha=0.35, preprocess=True)
    assert memory(attach_head(base, 5, units=0), "float32") == 240 * KIB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MobileNet", 64), ("MobileNetV2", 64), ("MobileNetV3Small", 64), ("MobileNetV3Large", 64),
        ("EfficientNetB0", 64), ("DenseNet121", 64),
        *(pytest.param(name, size, marks=pytest.mark.long) for name, size in (
            ("ResNet50", 64), ("ResNet50V2", 64), ("InceptionV3", 96), ("Xception", 96), ("NASNetMobile", 64),
            ("EfficientNetV2B0", 64),
        )),
    ],
)  # fmt: skip
def test_the_float32_file_gives_the_memory_of_the_int8_file(name, size):
    if name in BACKBONES:
        base = BACKBONES[name].build(input_size=size, weights=None, preprocess=True)
    else:
        base = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(size, size, 3))
    model = attach_head(base, 5, units=0)
    assert memory(model, "float32") == memory(model, "int8")
