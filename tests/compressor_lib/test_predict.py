from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from compressor_lib.errors import CompressorError
from compressor_lib.export import CLASSES_FILE, export_classifier, tflite_path
from compressor_lib.predict import load_classifier

CLASSES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A classifier by the brightest channel, in a push directory beside an older version."""
    directory = tmp_path_factory.mktemp("serving")
    pictures = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 16)(pictures))
    model = keras.Model(pictures, keras.layers.Softmax()(x))
    calibration = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    export_classifier(model, CLASSES, directory / "10", formats=["float32", "float16", "int8"], calibration=calibration)
    (directory / "9").mkdir()
    (directory / "9" / "saved_model.pb").write_bytes(b"an older one")
    return directory


@pytest.fixture(scope="module")
def green(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "green.png"
    Image.new("RGB", (20, 10), (60, 160, 40)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["push directory", "SavedModel", "float32", "float16", "int8"])
def test_every_form_of_a_model_answers_alike(exported, green, form):
    model = exported / "10"
    path = {"push directory": exported, "SavedModel": model}.get(form) or tflite_path(model, form)  # type: ignore[arg-type]
    classifier = load_classifier(path)
    answer = classifier.predict(green)
    assert classifier.classes == CLASSES
    assert list(answer) == ["green", "red", "blue"]
    assert answer["green"] == pytest.approx(0.998, abs=0.01)
    assert sum(answer.values()) == pytest.approx(1, abs=0.02)


def test_a_missing_model_is_told_with_the_nearest_name(exported):
    with pytest.raises(CompressorError, match=rf"does not exist\. Did you mean '{exported}'"):
        load_classifier(str(exported)[:-1])


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(CompressorError, match="holds no SavedModel"):
        load_classifier(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["SavedModel", "float32", "float16", "int8"])
@pytest.mark.parametrize("names", ["red\ngreen\n", "red\ngreen\nblue\ngrey\n", ""])
def test_names_of_another_number_of_classes_are_refused(exported, tmp_path, form, names):
    model = shutil.copytree(exported / "10", tmp_path / "10")
    (model / "assets.extra" / CLASSES_FILE).write_text(names)
    number = len(names.splitlines())
    with pytest.raises(
        CompressorError, match=rf"names {number} classes, but the model has 3: put back the classes\.txt"
    ):
        load_classifier(model if form == "SavedModel" else tflite_path(model, form))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_names_in_another_order_than_a_tflite_models_own_are_refused(exported, tmp_path, form):
    model = shutil.copytree(exported / "10", tmp_path / "10")
    (model / "assets.extra" / CLASSES_FILE).write_text("green\nred\nblue\n")
    with pytest.raises(CompressorError, match="names the classes green, red, blue, but the model has red, green, blue"):
        load_classifier(tflite_path(model, form))


def test_a_broken_model_is_told(exported, tmp_path):
    with pytest.raises(CompressorError, match="cannot be loaded"):
        load_classifier(exported / "9")
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(CompressorError, match=r"classes\.txt', which names the classes of model\.tflite, is missing"):
        load_classifier(tmp_path / "model.tflite")
    shutil.copy(exported / "10" / "assets.extra" / CLASSES_FILE, tmp_path)
    with pytest.raises(CompressorError, match="is no TFLite model"):
        load_classifier(tmp_path / "model.tflite")


@pytest.mark.parametrize("form", ["SavedModel", "float32"])
def test_a_picture_that_cannot_be_read_is_told(exported, green, tmp_path, form):
    model = exported / "10"
    classifier = load_classifier(model if form == "SavedModel" else tflite_path(model))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name, message in (("broken.png", "is no JPEG, PNG, BMP or GIF"), ("brokn.png", "Did you mean '.*broken.png'")):
        with pytest.raises(CompressorError, match=message):
            classifier.predict(tmp_path / name)
    assert next(iter(classifier.predict(green))) == "green"
