from __future__ import annotations

import importlib.util
import os

import pytest

from compressor_lib.errors import CompressorError
from pipelines.config import load_config
from pipelines.preflight import check_installed, check_network, check_pictures


def config(tmp_path, *overrides):
    (tmp_path / "pictures").mkdir(exist_ok=True)
    file = tmp_path / "config.yaml"
    file.write_text(
        f"{{name: a, data: {{source: folder, path: {tmp_path}/pictures}}, "
        "backbone: {name: MobileNetV2, input_size: 32, alpha: 0.35, weights: none}}"
    )
    return load_config(file, overrides)


def test_a_network_and_connections_that_are_right_pass(tmp_path):
    check_network(config(tmp_path, "search.connections=['53,151', 'block_5_add->tail']"))


def test_a_folder_of_no_known_layout_is_refused(tmp_path):
    given = config(tmp_path)
    with pytest.raises(CompressorError, match=f"'{tmp_path}/pictures' has no class folders"):
        check_pictures(given)


def test_the_newest_span_is_looked_at(tmp_path):
    given = config(tmp_path, "data.span=span-{SPAN}")
    with pytest.raises(CompressorError, match="cannot find the newest span"):
        check_pictures(given)
    for number, folder in ((1, "cat"), (2, "train/cat")):
        (tmp_path / "pictures" / f"span-{number}" / folder).mkdir(parents=True)
    with pytest.raises(CompressorError, match="span-2' is split already, but split 'eval' is missing"):
        check_pictures(given)


def test_every_span_of_a_window_is_looked_at(tmp_path):
    given = config(tmp_path, "data.span=span-{SPAN}", "data.spans={window: 2}")
    for name in ("span-1/train/cat", "span-2/train/cat", "span-3/cat"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "1.jpg").touch()
    with pytest.raises(CompressorError, match="span-2' is split already, but split 'eval' is missing"):
        check_pictures(given)


def test_a_class_folder_whose_name_is_no_text_is_refused(tmp_path):
    given = config(tmp_path)
    os.makedirs(os.fsencode(tmp_path) + b"/pictures/caf\xe9")
    with pytest.raises(CompressorError, match=r"class folder '.*/pictures/caf\\xe9': .* not UTF-8: rename it"):
        check_pictures(given)


@pytest.mark.parametrize("source", ["digits", "tfrecord"])
def test_other_sources_have_no_layout_of_their_own(tmp_path, source):
    (tmp_path / "out" / "data" / "0").mkdir(parents=True)
    path = "null" if source == "digits" else tmp_path / "pictures"
    check_pictures(config(tmp_path, f"data={{source: {source}, path: {path}}}", f"output={tmp_path}/out"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["search.connections=['block_5_ad->head']"], "Did you mean 'block_5_add'"),
        (["search.connections=['53,999']"], "layer index 999"),
        # Only with ImageNet's weights does the width have to be a published one.
        (["backbone.alpha=0.36", "backbone.weights=imagenet"], "MobileNetV2"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, overrides, message):
    wrong = config(tmp_path, *overrides)
    with pytest.raises(CompressorError, match=message):
        check_network(wrong)


@pytest.fixture
def own(tmp_path):
    """A classifier of two classes, in a file."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 3, strides=4, name="stem"),
            keras.layers.Conv2D(8, 3, name="middle"),
            keras.layers.Conv2D(8, 3, name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.save(tmp_path / "own.keras")
    return f"model: {tmp_path}/own.keras"


def test_a_model_of_ones_own_is_looked_at(tmp_path, own):
    check_network(config(tmp_path, f"backbone={{{own}, classes: [a, b]}}"))
    check_network(config(tmp_path, f"backbone={{{own}}}", "search.connections=['stem->last']"))
    for override, message in (
        (f"backbone={{{own}, classes: [a, b, c]}}", "has 3 names, but the model's output"),
        ("search.connections=published", "no published connections"),
        ("search.connections=['stem->lats']", "Did you mean 'last'"),
    ):
        wrong = config(tmp_path, f"backbone={{{own}}}", override)
        with pytest.raises(CompressorError, match=message):
            check_network(wrong)


@pytest.mark.slow
def test_a_network_that_does_not_convert_to_tflite_is_refused_and_one_in_half_precision_is_taken(tmp_path):
    import keras

    def saved(name: str, activation, dtype: str) -> str:
        pictures = keras.Input((32, 32, 3))
        x = keras.layers.Conv2D(4, 3, strides=4, dtype=dtype, name="stem")(pictures)
        x = keras.layers.Conv2D(8, 3, dtype=dtype)(keras.layers.Conv2D(8, 3, dtype=dtype)(x))
        x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(activation(x))
        keras.Model(pictures, keras.layers.Dense(2, activation="softmax")(x)).save(tmp_path / f"{name}.keras")
        return f"backbone={{model: {tmp_path}/{name}.keras}}"

    check_network(config(tmp_path, saved("half", keras.ops.tanh, "mixed_float16")))
    with pytest.raises(CompressorError, match=r"does not convert to TFLite in float32: .+ Replace the layer"):
        check_network(config(tmp_path, saved("odd", keras.ops.erfinv, "float32")))


def test_class_names_are_written_as_in_the_data(tmp_path, own):
    given = config(tmp_path, f"backbone={{{own}, classes: ['cafe\u0301', 'dog ']}}")
    assert given.backbone.classes == ["caf\u00e9", "dog"]


def test_imagenet_weights_are_not_fetched_to_look_up_connections(tmp_path, monkeypatch):
    import keras

    def fetched(*args, **kwargs):
        raise AssertionError("it fetched")

    monkeypatch.setattr(keras.utils, "get_file", fetched)
    check_network(config(tmp_path, "backbone.weights=imagenet"), download=False)


def test_an_install_without_tfx_is_told(monkeypatch):
    check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompressorError, match=r"auto-compressor\[pipelines\]"):
        check_installed()
