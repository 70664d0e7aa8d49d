"""Which differences in speed are told, and which are noise."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.deployment import latency
from compressor_lib.deployment.latency import BLOCKS, ROUNDS, Timings, time_models
from compressor_lib.deployment.tflite import to_tflite


def network(width: int, size: int = 32) -> keras.Model:
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(width, 3, padding="same")(inputs)
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def busy_machine(random: np.random.Generator, **milliseconds: float) -> Timings:
    """Times on a machine that slows down for a while, now and then stops for a moment, and jitters."""
    slow = np.repeat(random.choice([1, 1, 1.5, 2.2], size=(BLOCKS, 1)), ROUNDS, axis=1)
    return Timings(
        {
            name: true
            * slow
            * random.lognormal(0, 0.1, (BLOCKS, ROUNDS))
            * np.where(random.random((BLOCKS, ROUNDS)) < 0.1, random.uniform(2, 10, (BLOCKS, ROUNDS)), 1)
            for name, true in milliseconds.items()
        }
    )


def test_equal_models_show_no_difference_on_a_busy_machine():
    random = np.random.default_rng(0)
    told = [busy_machine(random, reference=2, model=2).speedup("model", "reference") for _ in range(3000)]
    # A coin for each of 15 blocks: 14 or more on one side happen once in a thousand times.
    assert sum(one.is_measurable for one in told) <= 8
    assert np.median([one.ratio for one in told]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("ratio", [1.4, 0.7])
def test_difference_is_measured_on_a_busy_machine(ratio):
    random = np.random.default_rng(0)
    told = [busy_machine(random, reference=2, model=2 / ratio).speedup("model", "reference") for _ in range(200)]
    assert sum(one.is_measurable and (one.ratio > 1) == (ratio > 1) for one in told) >= 198
    assert np.median([one.ratio for one in told]) == pytest.approx(ratio, rel=0.02)


def test_interval_contains_the_median_and_the_true_time():
    random = np.random.default_rng(0)
    for _ in range(100):
        milliseconds = {"model": 3 * random.lognormal(0, 0.2, (BLOCKS, ROUNDS))}
        one = Timings(milliseconds).latency("model")
        assert one.low < one.median < one.high
        assert one.low < 3 < one.high


def test_one_outlier_block_does_not_change_the_result():
    steady = {"reference": np.full((BLOCKS, ROUNDS), 4.0), "model": np.full((BLOCKS, ROUNDS), 2.0)}
    steady["model"][3] = 50
    speedup = Timings(steady).speedup("model", "reference")
    assert (speedup.ratio, speedup.low, speedup.high) == (2, 2, 2)


@pytest.mark.slow
def test_the_same_file_twice_shows_no_difference(tmp_path):
    content = to_tflite(network(8))
    (tmp_path / "model.tflite").write_bytes(content)
    timings = time_models({"reference": content, "model": tmp_path / "model.tflite"})
    assert not timings.speedup("model", "reference").is_measurable


@pytest.mark.slow
def test_two_files_of_one_network_show_no_difference():
    content = to_tflite(network(8))
    padded = content + bytes(16)  # other content, so each is timed for itself
    timings = time_models({"reference": content, "model": padded})
    assert timings.latency("model") != timings.latency("reference")
    assert not timings.speedup("model", "reference").is_measurable


@pytest.mark.slow
def test_a_far_smaller_network_is_faster():
    timings = time_models({"reference": to_tflite(network(48, size=96)), "model": to_tflite(network(2))})
    assert timings.speedup("model", "reference").low > 1
    assert timings.latency("model").high < timings.latency("reference").low


def test_models_take_turns_in_a_new_order_each_round_and_large_ones_fewer_rounds(monkeypatch):
    turns = []

    class Interpreter:
        def __init__(self, name):
            self.name = name

    def took(interpreter):
        turns.append(interpreter.name)
        return 1000.0  # a second an image

    monkeypatch.setattr(latency, "_ready", Interpreter)
    monkeypatch.setattr(latency, "_milliseconds", took)
    timings = time_models({"a": b"1", "b": b"2", "again": b"1"}, seconds=200)
    assert timings.milliseconds["a"].shape == (BLOCKS, 4)  # 15 blocks of 2 + 4 rounds of two models: 180 s
    np.testing.assert_array_equal(timings.milliseconds["again"], timings.milliseconds["a"])
    block = turns[4:12]
    assert all(sorted(block[turn : turn + 2]) == [b"1", b"2"] for turn in range(0, 8, 2))
    orders = {
        tuple(turns[start + 4 + turn : start + 6 + turn]) for start in range(0, 180, 12) for turn in range(0, 8, 2)
    }
    assert len(orders) == 2


def test_a_missing_file_is_not_timed(tmp_path):
    with pytest.raises(FileNotFoundError):
        time_models({"none": tmp_path / "none.tflite"})
