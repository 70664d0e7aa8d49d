from __future__ import annotations

import keras
import pytest

from compressor_lib.deployment.activation_memory import activation_memory
from compressor_lib.deployment.tflite import to_tflite
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.least_memory import least_memory


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def test_input_and_output_of_a_convolution_are_live_together():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(10, 3, padding="same", name="wide")(images)
    model = keras.Model(images, keras.layers.Conv2D(2, 3, strides=2, padding="same", name="narrow")(x))
    assert least_memory(model, ["wide"]) == 8 * 8 * (3 + 10)
    assert least_memory(model, ["wide", "narrow"]) == 8 * 8 * (3 + 10)
    assert least_memory(model, ["narrow"]) == 8 * 8 * 10 + 4 * 4 * 2
    assert least_memory(model, []) == 2 * 8 * 8 * 3


def test_padding_does_not_count_because_it_may_be_folded():
    images = keras.Input((8, 8, 10))
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(images)
    model = keras.Model(images, keras.layers.DepthwiseConv2D(3, strides=2)(x))
    assert least_memory(model, names(model)) == max(2 * 8 * 8 * 10, 8 * 8 * 10 + 4 * 4 * 10)


def test_the_bound_of_mobilenet_v2_is_exact():
    # The strided depthwise convolution of block 1 reads 112 x 112 x 96 and writes 56 x 56 x 96.
    base = BACKBONES["MobileNetV2"].build(input_size=224, weights=None)
    assert least_memory(base, names(base)) == (112 * 112 + 56 * 56) * 96


FIRST = {"MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FIRST else pytest.mark.long) for name in sorted(BACKBONES)]
)
def test_the_bound_holds_for_every_backbone(name):
    base = BACKBONES[name].build(input_size=max(64, BACKBONES[name].minimum_size), weights=None, preprocess=True)
    assert least_memory(base, names(base)) <= activation_memory(to_tflite(attach_head(base, 3, units=0)))
