from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.networks.nested_models import flattened

layers = keras.layers


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def inner(name: str = "inner") -> keras.Model:
    """Holds a Sequential, a skip and an operation."""
    images = keras.Input((12, 12, 3), name="inner_input")
    x = skip = layers.Conv2D(4, 3, strides=2, name="conv")(images)
    x = keras.Sequential([layers.BatchNormalization(name="bn"), layers.ReLU(name="relu")], name="block")(x)
    x = layers.Add(name="add")([x, skip])
    return keras.Model(images, x * 2.0, name=name)


def test_nested_models_are_flattened(pixels, agree):
    images = keras.Input((12, 12, 3), name="images")
    x = inner()(images, training=False)
    x = layers.Conv2D(5, 3, name="conv")(x)
    model = keras.Model(images, layers.GlobalAveragePooling2D(name="pool")(x), name="outer")

    flat = flattened(model)

    assert names(flat) == ["images", "conv", "bn", "relu", "add", "outer_conv", "pool"]
    assert flat.name == "outer"
    x = pixels(3, 12)
    agree(flat(x), model(x))
    flat.get_layer("conv").set_weights([weight + 1 for weight in flat.get_layer("conv").get_weights()])
    assert np.abs(flat(x) - model(x)).max() > 0.1  # the weights are its own


def test_sequential_models_become_functional(pixels, agree):
    model = keras.Sequential([keras.Input((12, 12, 3)), inner(), layers.Flatten(name="flat"), layers.Dense(2)])
    x = pixels(2, 12)
    agree(flattened(model)(x), model(x))


def test_augmentation_is_removed_and_normalization_is_kept(pixels, agree):
    normalisation = layers.Normalization(mean=[90.0, 100, 110], variance=[400.0, 500, 600], name="normalisation")
    adapted = layers.Normalization(name="adapted")
    adapted.adapt(np.random.default_rng(0).normal(0, 2, (50, 3)))
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.Sequential([layers.RandomFlip(name="flip"), layers.RandomRotation(0.1)], name="augmentation"),
            normalisation,
            adapted,
            layers.RandomCrop(10, 10, name="crop"),  # gives images of another size, so it is not left out
            layers.Conv2D(4, 3, name="conv"),
        ]
    )
    flat = flattened(model)
    assert names(flat)[1:] == ["normalisation", "adapted", "crop", "conv"]
    x = pixels(2, 12)
    agree(flat(x, training=False), model(x, training=False))


def test_layers_are_renamed(residual, pixels, agree):
    flat = flattened(residual, {"stem": "trunk"})
    assert names(flat) == [name.replace("stem", "trunk") if name == "stem" else name for name in names(residual)]
    x = pixels(2, 16)
    agree(flat(x), residual(x))


def test_model_used_twice_is_rejected():
    shared = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1)], name="shared")
    images = keras.Input((8, 8, 3))
    with pytest.raises(CompressorError, match="'shared'.*used more than once"):
        flattened(keras.Model(images, shared(shared(images))))
