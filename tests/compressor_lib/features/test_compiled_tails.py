from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.features import compiled_tails
from compressor_lib.features.compiled_tails import TrainedPartCache, as_blocks, can_be_recompiled
from compressor_lib.objective.metrics import AccuracyCompression

pytestmark = pytest.mark.usefixtures("eagerly")

layers = keras.layers
OPTIONS = {"batch_size": 8, "shuffle": True}


def classifier(width: int = 5, *, dropout: float = 0.0, rate: float = 1e-3, compression: float = 0.5) -> keras.Model:
    """On features `[N, 4]`; its layers get new names at each call."""
    features = keras.Input((4,))
    x = layers.Dense(width)(features)
    x = layers.Dropout(dropout)(x) if dropout else x
    model = keras.Model(features, layers.Dense(3, activation="softmax")(x))
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", AccuracyCompression(compression, tau=0.5, name="acc_comp")],
    )
    return model


def twin_of(parts: TrainedPartCache, model: keras.Model, **options) -> compiled_tails.TrainedPart:
    return parts.compiled_like(model, model, **OPTIONS | options)


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 20)
    x = rng.normal(0, 1, (20, 4)) + 2 * np.eye(3, 4)[y]
    return x.astype(np.float16), y


def test_parts_with_the_same_structure_share_a_traced_part():
    parts = TrainedPartCache()
    first = twin_of(parts, classifier(rate=1e-3, compression=0.1))
    assert twin_of(parts, classifier(rate=1e-2, compression=0.9)) is first
    assert float(first.optimizer.learning_rate) == pytest.approx(1e-2)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (lambda: classifier(width=6), {}),
        (lambda: classifier(dropout=0.1), {}),
        (classifier, {"batch_size": 4}),
        (classifier, {"shuffle": False}),
    ],
)
def test_parts_with_different_structures_do_not_share(model, options):
    parts = TrainedPartCache()
    assert twin_of(parts, classifier()) is not twin_of(parts, model(), **options)


def test_part_is_reset_each_time(data):
    parts, model = TrainedPartCache(), classifier()
    losses = []
    for _ in range(2):
        np.random.seed(0)
        losses.append(twin_of(parts, model).fit(as_blocks(*data, shuffle=True), epochs=3, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]


def test_training_matches_keras(data):
    """In the same order, as there is no shuffling, with a shorter batch at the end."""
    model = classifier(rate=0.1)
    validation = as_blocks(*data, shuffle=False)
    mine = twin_of(TrainedPartCache(), model, shuffle=False).fit(
        as_blocks(*data, shuffle=False), validation_data=validation, epochs=3, verbose=0
    )
    theirs = model.fit(*data, batch_size=8, shuffle=False, validation_data=data, epochs=3, verbose=0)
    assert mine.history.keys() == theirs.history.keys()
    for name, values in theirs.history.items():
        np.testing.assert_allclose(mine.history[name], values, rtol=1e-4, err_msg=name)


def test_order_depends_on_numpys_seed(data):
    def losses(seed: int) -> list[float]:
        np.random.seed(seed)
        part = twin_of(parts, model)
        return part.fit(as_blocks(*data, shuffle=True), epochs=2, verbose=0).history["loss"]

    parts, model = TrainedPartCache(), classifier(rate=0.1)
    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_metric_has_the_size_of_the_current_model(data):
    parts = TrainedPartCache()
    scores = [
        twin_of(parts, classifier(rate=1e-9, compression=compression)).evaluate(
            as_blocks(*data, shuffle=False), return_dict=True, verbose=0
        )
        for compression in (0.2, 0.8)
    ]
    for score, compression in zip(scores, (0.2, 0.8), strict=True):
        assert score["acc_comp"] == pytest.approx(0.5 * score["accuracy"] + 0.5 * compression)


def test_few_examples_are_one_block(data):
    (block,) = as_blocks(*data, shuffle=True)
    np.testing.assert_array_equal(block[0], data[0])


@pytest.mark.parametrize("shuffle", [True, False])
def test_many_examples_are_split_into_blocks(data, monkeypatch, shuffle):
    monkeypatch.setattr(compiled_tails, "_BLOCK_BYTES", 6 * (data[0][0].nbytes + data[1][0].nbytes))
    dataset = as_blocks(*data, shuffle=shuffle)
    epochs = [[x.numpy() for x, _ in dataset] for _ in range(2)]
    assert int(dataset.cardinality()) == len(epochs[0]) == 4
    for blocks in epochs:
        rows = np.concatenate(blocks)
        np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(data[0], axis=0))
    assert np.array_equal(np.concatenate(epochs[0]), data[0]) != shuffle
    assert np.array_equal(np.concatenate(epochs[0]), np.concatenate(epochs[1])) != shuffle


def test_models_that_cannot_be_recompiled_are_recognised():
    model = classifier()
    assert can_be_recompiled(model)
    model.compile("adam", lambda y, p: p[:, 0])
    assert not can_be_recompiled(model)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["widths", "data sets"])
def test_no_retracing_warning(data, traced, monkeypatch, what):
    said: list[str] = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda message, *args: said.append(message % args))
    parts, (x, y) = TrainedPartCache(), data
    for number in range(8):
        part = twin_of(parts, classifier(width=4 + number if what == "widths" else 4))
        rows = len(x) - (number if what == "data sets" else 0)
        blocks = as_blocks(x[:rows], y[:rows], shuffle=True)
        part.fit(blocks, validation_data=blocks, epochs=1, verbose=0, shuffle=False)
    assert not said


@pytest.mark.slow
def test_traced_part_trains_on_data_of_any_length(data, traced):
    x, y = data
    part = twin_of(TrainedPartCache(), classifier(rate=0.05))
    for rows in (20, 20, 17):
        part.fit(as_blocks(x[:rows], y[:rows], shuffle=True), epochs=15, verbose=0, shuffle=False)
    assert np.mean(part.predict(x.astype(np.float32), verbose=0).argmax(1) == y) > 0.8
