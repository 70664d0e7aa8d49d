from __future__ import annotations

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.cuts.families import rejoining_connections
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.networks.heads import attach_head
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.run import SearchOptions, run_search, trial_reports
from compressor_lib.search.second_cut import FIRST_CUT, layers_trained_again, network_to_cut_again

pytestmark = pytest.mark.usefixtures("eagerly")

TAIL = ["translator_first_conv", "translator_first_bn"]


def compressed(base: keras.Model, connection: str) -> keras.Model:
    """A classifier on a sub-network, its translator as if trained."""
    network = create_submodel(base, connection, tail_units=5)
    random = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name.startswith("translator_"):
            layer.set_weights([random.uniform(0.1, 0.9, weight.shape) for weight in layer.get_weights()])
    return attach_head(network, 3)


@pytest.fixture
def data(labelled) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    make = tf.data.Dataset.from_tensor_slices
    return make(labelled(48)).batch(16), make(labelled(24, seed=1)).batch(16)


def second_search(network: keras.Model, **changed) -> HyperCompressor:
    return HyperCompressor(
        3000, 3, backbone=network, connections=rejoining_connections(network), head_units=[0],
        loss="sparse_categorical_crossentropy", learning_rates=(0.01, 0.1),
        trained_layers=layers_trained_again(network), **changed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("connection", "end"),
    [("add_1->last", "last_relu"), ("add_2->tail", "translator_activation"), ("add_2->head", "add_2")],
)
def test_the_network_is_that_of_the_classifier(residual, connection, end):
    classifier = compressed(residual, connection)
    network = network_to_cut_again(classifier)
    images = np.random.default_rng(1).normal(size=(4, 16, 16, 3)).astype(np.float32)
    expected = create_submodel(classifier, f"{end}->head")
    np.testing.assert_allclose(network(images), expected(images), rtol=1e-5, atol=1e-6)
    taken = {layer.name for layer in network.layers}
    assert not taken & {"translator_conv", "translator_bn", "translator_pool", "translator_activation"}


def test_a_tail_is_trained_again_a_translator_that_rejoins_is_not(residual):
    assert layers_trained_again(network_to_cut_again(compressed(residual, "add_2->tail"))) == TAIL
    assert layers_trained_again(network_to_cut_again(compressed(residual, "add_1->last"))) == []
    assert layers_trained_again(network_to_cut_again(compressed(residual, "add_2->head"))) == []


@pytest.mark.slow
def test_a_second_search_trains_the_tail_in_every_trial_from_what_it_was(residual, data, tmp_path):
    network = network_to_cut_again(compressed(residual, "add_2->tail"))
    compressor = second_search(network)
    before = {name: network.get_layer(name).get_weights() for name in TAIL}
    trained, started = [], []

    class Noting(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            started.append(self.model.get_layer(TAIL[0]).get_weights()[0])

        def on_train_end(self, logs=None):
            trained.append(self.model.get_layer(TAIL[0]).get_weights()[0])

    train, validation = data
    connection = str(compressor.connections[0])
    for _ in range(2):
        hp = kt.HyperParameters()
        hp.Fixed("translator", connection)
        model = compressor.build_trial(hp)
        compressor.fit(hp, model, train, validation_data=validation, epochs=2, verbose=0, callbacks=[Noting()])
    for start, end in zip(started, trained, strict=True):
        np.testing.assert_array_equal(start, before[TAIL[0]][0])
        assert np.abs(end - start).max() > 1e-3
    for name, weights in before.items():
        for expected, found in zip(weights, network.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_second_search_reads_the_images_once(residual, data, tmp_path, caplog):
    network = network_to_cut_again(compressed(residual, "add_2->tail"))
    compressor = second_search(network)
    options = SearchOptions("random", max_trials=3, max_epochs=2, fixed={FIRST_CUT: "add_2->tail"})
    with caplog.at_level("INFO"):
        tuner = run_search(compressor, *data, options, tmp_path)
    assert "not on cached features" not in caplog.text
    reports = trial_reports(tuner, compressor)
    assert len(reports) == 3
    for report in reports:
        first, second = report.connection.split(" & ")
        assert first == "add_2->tail"
        assert second in [str(connection) for connection in compressor.connections]
        assert report.parameters < compressed(residual, "add_2->tail").count_params()
        assert report.hyperparameters[FIRST_CUT] == first
    model = tuner.get_best_models()[0]
    _, accuracy, _ = model.evaluate(data[1], verbose=0)
    assert accuracy == pytest.approx(reports[0].accuracy, abs=0.05)


@pytest.mark.slow
def test_released_features_are_computed_anew(residual, data):
    compressor = second_search(network_to_cut_again(compressed(residual, "add_2->tail")))
    hp = kt.HyperParameters()
    hp.Fixed("translator", str(compressor.connections[0]))

    compressor.build_trial(hp)  # the first build draws more numbers than later ones

    def losses() -> list[float]:
        keras.utils.set_random_seed(0)
        model = compressor.build_trial(hp)
        return compressor.fit(hp, model, data[0], validation_data=data[1], epochs=2, verbose=0).history["loss"]

    first = losses()
    compressor.release_features()
    assert losses() == pytest.approx(first, rel=1e-3)
