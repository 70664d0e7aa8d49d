from __future__ import annotations

import keras

from compressor_lib.networks.cut_points import CutPoints

layers = keras.layers


def test_units_of_a_network_with_skips(residual):
    points = CutPoints(residual)
    # Not between a convolution and its own batch norm or ReLU, not beside a skip.
    assert points.cuts == [
        "stem_relu", "add_1", "expand_relu", "depthwise", "project", "add_2", "last_relu",
    ]  # fmt: skip
    # conv_1 and conv_2 stand for the skip beside them, too; `depthwise` does not see all channels.
    assert points.rejoins == ["stem", "conv_1", "expand", "project", "conv_2", "last"]


def test_units_of_a_pre_activation_network():
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Rescaling(2.0)(images)
    x = skip = layers.Conv2D(4, 1, name="stem")(x)
    for number in (1, 2):
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
        x = layers.Conv2D(4, 3, padding="same", name=f"conv_{number}")(x)
        x = skip = layers.Concatenate(name=f"join_{number}")([x, skip])
    x = layers.BatchNormalization(name="bn_3")(x)
    x = layers.ReLU(name="relu_3")(x)
    x = layers.ZeroPadding2D(name="pad")(x)
    x = layers.Conv2D(4, 3, name="conv_3")(x)
    x = layers.ReLU(name="relu_4")(x)
    points = CutPoints(keras.Model(images, layers.SpatialDropout2D(0.1, name="dropout")(x)))
    assert points.cuts == ["stem", "join_1", "join_2", "relu_3", "dropout"]
    # The normalisation behind a join belongs to the convolution behind it.
    assert points.rejoins == ["stem", "bn_1", "bn_2", "bn_3", "pad"]


def test_parameters_between(residual):
    points = CutPoints(residual)

    def parameters(*names: str) -> int:
        return sum(residual.get_layer(name).count_params() for name in names)

    assert points.parameters_between("stem_relu", "expand") == parameters("conv_1")
    assert points.parameters_between("add_1", "conv_2") == parameters("expand", "expand_bn", "depthwise", "project")
    assert points.parameters_between("project", "conv_2") == 0
    assert points.parameters_between("project", None) == parameters("conv_2", "last", "last_bn")
