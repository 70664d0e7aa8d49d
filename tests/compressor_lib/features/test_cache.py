from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.errors import CompressorError
from compressor_lib.features.cache import FeatureCache, frozen_frontier, starts_at_cut
from compressor_lib.networks.heads import attach_head

layers = keras.layers
CUT, TRUNCATION = Connection.rejoin("add_1", "last"), Connection.head("add_1")


def classifier(base: keras.Model, connection: Connection, frozen: bool = True, **head) -> keras.Model:
    submodel = create_submodel(base, connection)
    submodel.trainable = not frozen
    return attach_head(submodel, 3, **{"units": 4, **head})


def flat(*behind: layers.Layer, front: layers.Layer | None = None) -> keras.Model:
    """A frozen convolution with something in front and something behind."""
    images = keras.Input((4, 4, 3), name="images")
    x = images if front is None else front(images)
    x = layers.Conv2D(3, 1, name="frozen", trainable=False)(x)
    for layer in behind:
        x = layer(x)
    return keras.Model(images, x)


def dense() -> layers.Layer:
    return layers.Dense(2, name="trained")


def augmentation(layer: layers.Layer) -> keras.Sequential:
    return keras.Sequential([keras.Input((4, 4, 3)), layer], name="nested")


@pytest.mark.parametrize("connection", [CUT, TRUNCATION], ids=str)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_frozen_subnetwork_is_constant_up_to_the_head(residual, connection, dropout):
    assert frozen_frontier(classifier(residual, connection, dropout=dropout)) == "top_gap"


def test_nothing_is_constant_in_a_trainable_network(residual):
    assert frozen_frontier(classifier(residual, CUT, frozen=False)) is None


def test_first_trainable_layer_ends_the_constant_part(residual):
    model = classifier(residual, CUT)
    model.get_layer("last").trainable = True
    assert frozen_frontier(model) == "translator_conv"


def test_layers_without_weights_belong_to_the_constant_part():
    model = flat(layers.ReLU(name="relu"), layers.GlobalAveragePooling2D(name="gap"), dense())
    assert frozen_frontier(model) == "gap"


def test_an_entirely_frozen_model_has_no_frontier():
    assert frozen_frontier(flat(layers.ReLU())) is None


def test_a_model_that_trains_from_the_images_has_no_frontier():
    images = keras.Input((4, 4, 3))
    assert frozen_frontier(keras.Model(images, layers.Conv2D(2, 1)(images))) is None
    rescaled = layers.Rescaling(2.0, name="twice")(images)
    assert frozen_frontier(keras.Model(images, layers.Conv2D(2, 1)(rescaled))) == "twice"


RANDOM = {
    "dropout": lambda: layers.Dropout(0.5),
    "noise": lambda: layers.GaussianNoise(0.1),
    "flip": lambda: layers.RandomFlip(),
    "rotation": lambda: layers.RandomRotation(0.1),
    "brightness": lambda: layers.RandomBrightness(0.1),
    "contrast": lambda: layers.RandomContrast(0.1),
    "nested": lambda: augmentation(layers.RandomZoom(0.1)),
}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_layers_are_not_constant(kind):
    assert frozen_frontier(flat(front=RANDOM[kind]())) is None
    assert frozen_frontier(flat(RANDOM[kind](), dense())) == "frozen"


def test_dropout_of_zero_is_constant():
    assert frozen_frontier(flat(layers.Dropout(0.0, name="idle"), dense())) == "idle"


def test_a_nested_model_without_weights_is_constant():
    assert frozen_frontier(flat(augmentation(layers.ReLU()), dense())) == "nested"


def test_two_tensors_into_the_trained_part_have_no_single_frontier():
    images = keras.Input((4, 4, 3))
    one, two = (layers.Conv2D(3, 1, trainable=False)(images) for _ in range(2))
    trained = layers.Add()([layers.Conv2D(3, 1)(one), two])
    assert frozen_frontier(keras.Model(images, trained)) is None


def test_operations_are_constant_but_no_frontier():
    images = keras.Input((4, 4, 3))
    x = layers.Conv2D(3, 1, name="frozen", trainable=False)(images)
    between = keras.Model(images, layers.Dense(2)(layers.ReLU(name="relu")(x * 2.0)))
    assert frozen_frontier(between) == "relu"
    assert frozen_frontier(keras.Model(images, layers.Dense(2)(x * 2.0))) is None
    assert frozen_frontier(keras.Model(images, layers.Dense(2)(x) * 2.0)) == "frozen"


def test_features_start_at_the_cut_of_the_subnetwork(residual):
    for connection in (CUT, TRUNCATION):
        assert starts_at_cut(classifier(residual, connection), residual, connection, "top_gap")
    model = classifier(residual, CUT)
    assert starts_at_cut(model, residual, CUT, "translator_conv")
    assert not starts_at_cut(model, residual, CUT, "add_1")  # in front of the translator
    assert starts_at_cut(model, residual, CUT, "translator_pool")  # the tap itself
    assert not starts_at_cut(classifier(residual, TRUNCATION), residual, TRUNCATION, "add_1")


def test_features_do_not_start_after_foreign_weights(residual):
    submodel = create_submodel(residual, CUT)
    x = layers.Conv2D(4, 1, name="foreign")(submodel.output)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    model = keras.Model(submodel.input, layers.Dense(3, name="classifier")(x))
    assert not starts_at_cut(model, residual, CUT, "gap")
    assert starts_at_cut(model, residual, CUT, "last_relu")


def test_features_do_not_start_in_a_nested_subnetwork(residual):
    images = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D(name="gap")(create_submodel(residual, CUT)(images))
    model = keras.Model(images, layers.Dense(3)(x))
    assert not starts_at_cut(model, residual, CUT, "gap")


class Counting:
    """A data set that counts how often its images are read."""

    def __init__(self, *arrays: np.ndarray, batch: int = 7) -> None:
        self.dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(batch)
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return iter(self.dataset)


@pytest.fixture
def data(labelled) -> Counting:
    return Counting(*labelled(30))


CONNECTIONS = [CUT, Connection.rejoin("stem_relu", "last"), Connection.rejoin("stem_relu", "depthwise"), TRUNCATION]


@pytest.mark.parametrize("connection", CONNECTIONS, ids=str)
def test_features_match_the_models_outputs(residual, data, labelled, connection):
    model = classifier(residual, connection)
    features = FeatureCache(residual, CONNECTIONS).features(model, connection, "top_gap", data)
    x, y = labelled(30)
    wanted = keras.Model(model.input, model.get_layer("top_gap").output)(x).numpy()
    # Half precision keeps eleven bits.
    np.testing.assert_allclose(features.values, wanted, rtol=5e-3, atol=5e-3 * np.abs(wanted).max())
    np.testing.assert_array_equal(features.labels, y)
    assert features.sample_weight is None


def test_an_inner_frontier(residual, data, labelled):
    model = classifier(residual, CUT)
    features = FeatureCache(residual, CONNECTIONS).features(model, CUT, "translator_conv", data)
    wanted = keras.Model(model.input, model.get_layer("translator_conv").output)(labelled(30)[0])
    assert features.values.shape == (30, 4, 4, 8)
    np.testing.assert_allclose(features.values, wanted, rtol=5e-3, atol=2e-2)


def test_backbone_runs_once_per_dataset_for_all_connections(residual, data, labelled):
    cache = FeatureCache(residual, CONNECTIONS)
    other = Counting(*labelled(10, seed=1))
    for _ in range(2):
        for connection in CONNECTIONS:
            model = classifier(residual, connection)
            assert len(cache.features(model, connection, "top_gap", data).values) == 30
            assert len(cache.features(model, connection, "top_gap", other).values) == 10
    assert (data.passes, other.passes) == (1, 1)


def test_order_labels_and_weights_stay_together(residual, labelled):
    x, y = labelled(20)
    one_hot, weight = np.eye(3)[y], np.linspace(0, 1, 20)
    order = np.random.default_rng(0).permutation(20)
    cache, model = FeatureCache(residual, [CUT]), classifier(residual, CUT)
    straight = cache.features(model, CUT, "top_gap", Counting(x, one_hot, weight))
    mixed = cache.features(model, CUT, "top_gap", Counting(x[order], one_hot[order], weight[order]))
    np.testing.assert_allclose(mixed.values, straight.values[order], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(mixed.labels, one_hot[order])
    np.testing.assert_array_equal(mixed.sample_weight, weight[order])


def test_empty_dataset_is_rejected(residual, labelled):
    x, y = labelled(4)
    empty = tf.data.Dataset.from_tensor_slices((x, y)).batch(4).take(0)
    with pytest.raises(CompressorError, match="the dataset is empty; check the splits of the data"):
        FeatureCache(residual, [CUT]).features(classifier(residual, CUT), CUT, "top_gap", empty)


def test_features_of_a_network_without_the_translator_do_not_start_at_the_cut(residual):
    model = classifier(residual, TRUNCATION)
    assert not starts_at_cut(model, residual, Connection.rejoin(TRUNCATION.a, "last"), "top_gap")
