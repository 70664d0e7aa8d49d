from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import compressor_lib.measure
from compressor_lib.tflite import to_tflite
from pipelines.measurements import Measurements, measure

SIZE = 8


@pytest.fixture
def examples(tmp_path) -> str:
    """Transformed Examples: a test split of one black picture, of class 0, and three white ones."""
    folder = tmp_path / "examples"
    (folder / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "data.gz"), "GZIP") as writer:
        for level, label in ((0, 0), (255, 1), (255, 1), (255, 1)):
            file = io.BytesIO()
            Image.new("RGB", (SIZE, SIZE), (level, level, level)).save(file, "PNG")
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[file.getvalue()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return str(folder)


def write(path: Path, answer: int) -> Path:
    """A TFLite model that always names one class."""
    inputs = keras.Input((SIZE, SIZE, 3))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.zeros((3, 2)), np.eye(2)[answer]])
    path.write_bytes(to_tflite(model))
    return path


@pytest.fixture
def ask(tmp_path, examples, monkeypatch):
    """Measures two models, and tells what was really measured."""
    models = {name: write(tmp_path / f"{name}.tflite", answer) for name, answer in (("zero", 0), ("one", 1))}
    calls = []

    def latency_ms(timed):
        calls.append(set(timed))
        return dict.fromkeys(timed, 0.5)

    monkeypatch.setattr(compressor_lib.measure, "latency_ms", latency_ms)

    def call(*judged: str) -> tuple[Measurements, int]:
        kept = tmp_path / "measured.json"
        measurements = measure(kept, models, judged=judged, examples=examples, size=SIZE)
        return measurements, len(calls)

    return call


def test_all_are_timed_and_the_judged_are_judged(ask):
    assert ask("one") == (Measurements({"zero": 0.5, "one": 0.5}, {"one": 0.75}), 1)


def test_the_same_models_are_measured_once(ask):
    first, _ = ask("zero", "one")
    assert first.accuracies == {"zero": 0.25, "one": 0.75}
    assert ask("zero", "one") == (first, 1)


def test_another_model_or_question_is_measured_anew(ask, tmp_path):
    ask("one")
    assert ask("zero", "one")[1] == 2
    write(tmp_path / "zero.tflite", 1)
    measurements, count = ask("zero", "one")
    assert (measurements.accuracies["zero"], count) == (0.75, 3)


def test_nothing_but_the_file_is_left(ask, tmp_path):
    ask("one")
    assert {path.name for path in tmp_path.glob("*measured*")} == {"measured.json"}
    assert not list(tmp_path.glob(".*"))
