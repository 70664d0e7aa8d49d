from __future__ import annotations

import keras
import pytest

from compressor_lib.measure import count_parameters, latency_ms
from compressor_lib.tflite import to_tflite


def network(width: int, size: int = 32) -> keras.Model:
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(width, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def test_parameters_are_all_numbers_frozen_or_not():
    model = network(4)
    expected = (3 * 9 + 1) * 4 + 4 * 4 + (4 * 9 + 1) * 4 + (4 + 1) * 2
    assert count_parameters(model) == expected
    model.trainable = False
    assert count_parameters(model) == expected


def test_a_far_larger_network_takes_longer(tmp_path):
    paths = {}
    for name, width in {"small": 2, "large": 96}.items():
        paths[name] = tmp_path / f"{name}.tflite"
        paths[name].write_bytes(to_tflite(network(width)))
    milliseconds = latency_ms(paths, repeats=10)
    assert set(milliseconds) == {"small", "large"}
    assert 0 < milliseconds["small"] < milliseconds["large"] < 1000


def test_a_files_content_will_do():
    content = to_tflite(network(2))
    assert 0 < latency_ms({"content": content}, repeats=1)["content"] < 1000


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        latency_ms({"none": tmp_path / "none.tflite"})
