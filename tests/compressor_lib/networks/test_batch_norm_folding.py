from __future__ import annotations

import keras
import pytest

from compressor_lib.networks.batch_norm_folding import folded

layers = keras.layers


def kinds(model: keras.Model) -> dict[str, str]:
    return {layer.name: type(layer).__name__ for layer in model.layers}


@pytest.mark.slow
def test_folded_network_gives_same_predictions_and_layer_names(mobilenet_v2, pixels, agree):
    faster = folded(mobilenet_v2)
    assert list(kinds(faster)) == list(kinds(mobilenet_v2))
    assert "BatchNormalization" not in kinds(faster).values()
    images = pixels(4, 32)
    agree(faster(images, training=False), mobilenet_v2(images, training=False))


def test_kept_outputs_do_not_change(mobilenet_v2, pixels, agree):
    wanted = "block_5_project"
    faster = folded(mobilenet_v2, keep=[wanted])
    assert kinds(faster)["block_5_project_BN"] == "BatchNormalization"
    assert kinds(faster)["block_6_project_BN"] == "Activation"
    images = pixels(4, 32)
    agree(*(keras.Model(m.input, m.get_layer(wanted).output)(images) for m in (faster, mobilenet_v2)))


def network(*convolutions: layers.Layer, behind: list[layers.Layer], both: bool = False) -> keras.Model:
    """Convolutions, what stands behind them, and perhaps a second consumer of the last convolution."""
    x = images = keras.Input((8, 8, 4))
    for layer in convolutions:
        x = layer(x)
    y = x
    for layer in behind:
        y = layer(y)
    return keras.Model(images, layers.Add()([x, y]) if both else y)


@pytest.mark.parametrize(
    "model",
    [
        lambda: network(layers.Conv2D(6, 3, bias_initializer="ones"), behind=[layers.BatchNormalization()]),
        lambda: network(layers.Conv2D(6, 3, groups=2), behind=[layers.BatchNormalization()]),
        lambda: network(layers.DepthwiseConv2D(3, depth_multiplier=2), behind=[layers.BatchNormalization()]),
    ],
)
def test_every_kind_of_convolution_is_folded(model, pixels, agree, shaken):
    keras.utils.set_random_seed(0)
    model = shaken(model())
    images = pixels(4, 8)[..., [0, 1, 2, 0]]
    faster = folded(model)
    assert "BatchNormalization" not in kinds(faster).values()
    agree(faster(images), model(images))


@pytest.mark.parametrize(
    "model",
    [
        lambda: network(layers.Conv2D(6, 3, activation="relu"), behind=[layers.BatchNormalization()]),
        lambda: network(layers.Conv2D(6, 3), behind=[layers.ReLU(), layers.BatchNormalization()]),
        lambda: network(layers.Conv2D(6, 3), behind=[layers.BatchNormalization()], both=True),
        lambda: network(behind=[layers.BatchNormalization()]),
    ],
)
def test_normalisation_without_own_convolution_is_not_folded(model, pixels, agree, shaken):
    keras.utils.set_random_seed(0)
    model = shaken(model())
    faster = folded(model)
    assert "BatchNormalization" in kinds(faster).values()
    images = pixels(4, 8)[..., [0, 1, 2, 0]]
    agree(faster(images), model(images))


def test_original_network_does_not_change(residual):
    before = [weights.copy() for weights in residual.get_weights()]
    folded(residual)
    assert all((mine == theirs).all() for mine, theirs in zip(residual.get_weights(), before, strict=True))
