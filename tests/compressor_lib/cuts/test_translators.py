from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.translators import TranslatorSpec, pool_window
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES

layers = keras.layers


@given(st.integers(1, 700).flatmap(lambda s: st.tuples(st.just(s), st.integers(1, s))))
def test_a_pool_outputs_exactly_the_wanted_size(sizes):
    source, target = sizes
    window, stride = pool_window(source, target)
    assert window >= 1
    assert stride >= 1
    assert (source - window) // stride + 1 == target
    assert stride * (target - 1) + window == source  # not a position is left over


@given(st.integers(1, 700).flatmap(lambda s: st.tuples(st.just(s), st.integers(1, s))))
def test_the_stride_is_the_published_one_where_it_fits(sizes):
    source, target = sizes
    published = math.ceil(source / target)
    if source - published * (target - 1) >= 1:
        assert pool_window(source, target)[1] == published


@pytest.mark.parametrize(
    ("source", "target", "window", "stride"),
    [(28, 7, 4, 4), (112, 14, 8, 8), (228, 29, 4, 8), (114, 15, 2, 8), (5, 4, 2, 1), (7, 7, 1, 1)],
)
def test_the_pool_has_the_expected_window_and_stride(source, target, window, stride):
    assert pool_window(source, target) == (window, stride)


@pytest.mark.parametrize(
    ("source", "target"),
    [((28, 28), (7, 7)), ((228, 228), (29, 29)), ((5, 5), (4, 4)), ((9, 16), (2, 5)), ((6, 4), (6, 1))],
)
def test_the_pooling_layer_outputs_the_wanted_size(source, target):
    spec = TranslatorSpec((*source, 2), (*target, 3))
    image = np.random.default_rng(0).random((1, *source, 2), dtype=np.float32)
    assert spec.pools
    assert tuple(spec.pool()(image).shape) == (1, *target, 2)
    assert tuple(spec.conv()(spec.pool()(image)).shape) == (1, *target, 3)


def test_there_is_no_pool_between_equal_sizes():
    spec = TranslatorSpec((7, 7, 96), (7, 7, 320))
    assert not spec.pools
    assert [layer.name for layer in spec.layers()] == ["translator_conv"]
    assert spec.parameters == 97 * 320
    assert spec.multiply_adds == 7 * 7 * 96 * 320


@pytest.mark.parametrize("ceiling", [6.0, math.inf])
def test_a_translator_is_a_pool_a_convolution_and_an_activation(ceiling):
    spec = TranslatorSpec((14, 14, 4), (7, 7, 5), relu_ceiling=ceiling)
    names = ["translator_pool", "translator_conv", "translator_activation"]
    assert [layer.name for layer in spec.layers()] == names
    x = np.array([-3.0, 2.0, 9.0], np.float32)
    np.testing.assert_array_equal(spec.activation()(x), [0, 2, min(9, ceiling)])


RELUS = {
    "ReLU": (lambda: layers.ReLU(), math.inf),
    "ReLU6": (lambda: layers.ReLU(max_value=6.0), 6.0),
    "Activation relu": (lambda: layers.Activation("relu"), math.inf),
    "Activation relu6": (lambda: layers.Activation("relu6"), 6.0),
    "leaky": (lambda: layers.ReLU(negative_slope=0.1), None),
    "threshold": (lambda: layers.ReLU(threshold=0.5), None),
    "LeakyReLU": (lambda: layers.LeakyReLU(), None),
    "swish": (lambda: layers.Activation("swish"), None),
    "batch norm": (lambda: layers.BatchNormalization(), None),
    "operation": (lambda: lambda x: x + 1.0, None),
}


@pytest.mark.parametrize("kind", RELUS)
def test_the_activation_is_the_one_in_front_of_b(kind):
    make, ceiling = RELUS[kind]
    images = keras.Input((8, 8, 3))
    a = layers.Conv2D(4, 3, name="a")(images)
    x = make()(layers.Conv2D(5, 3)(a))
    base = keras.Model(images, layers.Conv2D(2, 1, name="b")(x))
    spec = TranslatorSpec.of(base, Connection.rejoin("a", "b"))
    assert spec == TranslatorSpec((6, 6, 4), (4, 4, 5), ceiling)
    assert (spec.activation() is None) == (ceiling is None)


@pytest.mark.parametrize(
    ("name", "connection", "source", "target", "ceiling"),
    [
        ("MobileNetV2", "block_5_add->Conv_1", (28, 28, 32), (7, 7, 320), None),
        ("MobileNetV2", "block_1_project_BN->block_16_expand", (56, 56, 24), (7, 7, 160), None),
        ("MobileNet", "conv1_relu->conv_pad_12", (112, 112, 32), (14, 14, 512), 6.0),
        ("MobileNet", "conv_pw_11_relu->conv_dw_13", (14, 14, 512), (7, 7, 1024), 6.0),
    ],
)
def test_translators_have_the_published_shapes(published_size, name, connection, source, target, ceiling):
    base = published_size(name)
    spec = TranslatorSpec.of(base, Connection.rejoin(*connection.split("->")))
    assert spec == TranslatorSpec(source, target, ceiling)


def test_shapes_follow_the_input_size():
    base = BACKBONES["MobileNetV2"].build(input_size=200, weights=None)
    spec = TranslatorSpec.of(base, Connection.rejoin("block_5_add", "Conv_1"))
    assert spec == TranslatorSpec((25, 25, 32), (7, 7, 320))


@pytest.mark.slow
def test_odd_sizes_of_efficientnet_b5_are_pooled_exactly(published_size):
    base = published_size("EfficientNetB5")
    spec = TranslatorSpec.of(base, Connection.rejoin("block1c_add", "block6a_expand_conv"))
    assert spec.source == (228, 228, 24)
    assert spec.target == (29, 29, 176)
    assert (spec.pool().pool_size, spec.pool().strides) == ((4, 4), (8, 8))


def test_a_feature_map_smaller_than_wanted_is_refused():
    images = keras.Input((8, 8, 3))
    x = layers.UpSampling2D(name="up")(layers.Conv2D(4, 3, strides=2, name="a")(images))
    base = keras.Model(images, layers.Conv2D(2, 1, name="b")(x))
    with pytest.raises(CompressorError, match=r"'a' has 3 x 3 positions, fewer than the 6 x 6 that 'b' takes"):
        TranslatorSpec.of(base, Connection.rejoin("a", "b"))


@pytest.mark.parametrize("shape", [(None, None, 3), (8, None, 3)])
def test_a_variable_size_is_refused(shape):
    images = keras.Input(shape)
    x = layers.Conv2D(4, 3, name="m")(layers.Conv2D(4, 3, name="a")(images))
    base = keras.Model(images, layers.Conv2D(2, 1, name="b")(x))
    with pytest.raises(CompressorError, match=r"'a'.*fixed size; build the backbone with a fixed input"):
        TranslatorSpec.of(base, Connection.rejoin("a", "b"))


def test_a_vector_is_refused():
    images = keras.Input((8, 8, 3))
    x = layers.Flatten(name="flat")(layers.Conv2D(4, 3, name="a")(images))
    base = keras.Model(images, layers.Dense(3, name="dense")(x))
    with pytest.raises(CompressorError, match=r"'dense'.*not a feature map"):
        TranslatorSpec.of(base, Connection.rejoin("a", "dense"))
