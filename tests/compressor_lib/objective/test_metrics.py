from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.objective.metrics import AccuracyCompression

CLASSES, SAMPLES = 4, 50


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    answers = rng.random((SAMPLES, CLASSES)).astype(np.float32)
    answers[:20] += 2 * np.eye(CLASSES, dtype=np.float32)[labels[:20]]
    return labels, answers, rng.random(SAMPLES).astype(np.float32)


@pytest.mark.parametrize("form", ["flat", "column", "one_hot"])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_equals_numpy_over_two_batches(batch, form, weighted):
    labels, answers, weights = batch
    shaped = {
        "flat": labels,
        "column": labels[:, None],
        "one_hot": np.eye(CLASSES, dtype=np.float32)[labels],
    }[form]
    metric = AccuracyCompression(compression_rate=0.6, tau=0.7)
    for part in (slice(0, 30), slice(30, None)):
        metric.update_state(shaped[part], answers[part], weights[part] if weighted else None)
    hits = labels == answers.argmax(axis=1)
    accuracy = np.average(hits, weights=weights if weighted else None)
    assert 0.3 < accuracy < 0.9
    assert float(metric.result()) == pytest.approx(0.7 * accuracy + 0.3 * 0.6, abs=1e-6)


def test_reset_clears_the_batches(batch):
    labels, answers, _ = batch
    metric = AccuracyCompression(compression_rate=0.5, tau=1.0)
    metric.update_state(labels, answers)
    metric.reset_state()
    metric.update_state([0], [[1.0, 0.0]])
    assert float(metric.result()) == pytest.approx(1.0)


def test_fit_logs_it_under_its_name():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[AccuracyCompression(0.5)])
    x, y = np.ones((4, 3)), np.zeros(4, int)
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert {"acc_comp", "val_acc_comp"} <= set(history)


def test_serialisation_round_trip():
    metric = AccuracyCompression(compression_rate=0.25, tau=0.4, name="score", penalty=0.5)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(back) is AccuracyCompression
    assert (back.compression_rate, back.tau, back.name, back.penalty) == (0.25, 0.4, "score", 0.5)


def test_larger_network_scores_lower():
    metric = AccuracyCompression(compression_rate=-0.5, tau=0.8)
    metric.update_state([0], [[1.0, 0.0]])
    assert float(metric.result()) == pytest.approx(0.8 - 0.1)


def test_penalty_is_subtracted_in_full():
    metric = AccuracyCompression(compression_rate=0.5, tau=0.8, penalty=1.0)
    metric.update_state([0], [[1.0, 0.0]])
    assert float(metric.result()) == pytest.approx(0.8 + 0.1 - 1)


@pytest.mark.parametrize("tau", [-0.1, 1.5, float("nan")])
def test_tau_out_of_range_is_rejected(tau):
    with pytest.raises(CompressorError, match="tau"):
        AccuracyCompression(compression_rate=0.5, tau=tau)
