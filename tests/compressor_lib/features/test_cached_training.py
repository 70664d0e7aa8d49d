from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.features.cached_training import CachedTraining
from compressor_lib.networks.heads import attach_head

pytestmark = pytest.mark.usefixtures("eagerly")

CUT = Connection.rejoin("add_1", "last")


@pytest.fixture
def model(residual) -> keras.Model:
    backbone = create_submodel(residual, CUT)
    backbone.trainable = False
    model = attach_head(backbone, 3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def training(residual) -> CachedTraining:
    return CachedTraining(residual, [CUT])


def endless(x, y):
    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat()}


@pytest.mark.parametrize(
    "arguments",
    [
        endless,
        lambda x, y: {"x": x, "y": y, "steps_per_epoch": 2},
        lambda x, y: {"x": x, "y": y, "validation_data": endless(x, y)["x"]},
        lambda x, y: {"x": iter([(x, y)])},
        lambda x, y: {},
    ],
)
def test_unsupported_fits_are_left_to_keras(model, training, labelled, arguments):
    before = model.get_weights()
    assert training.fit(model, CUT, arguments(*labelled(16))) is None
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_unfrozen_network_is_left_to_keras(model, training, labelled):
    model.get_layer("stem").trainable = True
    x, y = labelled(16)
    assert training.fit(model, CUT, {"x": x, "y": y}) is None


def test_only_the_head_is_trained(model, training, residual, labelled):
    x, y = labelled(16)
    before = model.get_layer("classifier").get_weights()[0]
    history = training.fit(model, CUT, {"x": x, "y": y, "epochs": 2, "verbose": 0})
    assert history is not None
    assert len(history.history["loss"]) == 2
    assert np.abs(model.get_layer("classifier").get_weights()[0] - before).max() > 0
    for mine, theirs in zip(
        model.get_layer("stem").get_weights(), residual.get_layer("stem").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_checkpoint_is_written_once_with_its_latest_weights(model, training, labelled, tmp_path, monkeypatch):
    file, written, at_call = tmp_path / "best.weights.h5", [], {}
    save = keras.Model.save_weights
    monkeypatch.setattr(keras.Model, "save_weights", lambda self, path: (written.append(path), save(self, path)))

    class SavesTheFirstTwo(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch < 2:
                self.model.save_weights(str(file))
                at_call[epoch] = self.model.get_weights()

    x, y = labelled(16)
    arguments = {"x": x, "y": y, "epochs": 4, "verbose": 0, "callbacks": [SavesTheFirstTwo()]}
    training.fit(model, CUT, arguments)
    assert written == [str(file)]
    last = model.get_weights()
    model.load_weights(file)
    for mine, theirs in zip(model.get_weights(), at_call[1], strict=True):
        np.testing.assert_allclose(mine, theirs)
    assert any(np.abs(mine - theirs).max() > 0 for mine, theirs in zip(model.get_weights(), last, strict=True))


def test_dataset_is_the_same_object_on_every_call(training, labelled):
    x, y = labelled(8)
    assert training.dataset(x, y, 4) is training.dataset(x, y, 4)
    assert training.dataset(x, None, 4) is None
