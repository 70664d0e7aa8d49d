from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from odd_images import in_mode, pixels, saved
from PIL import Image

from compressor_lib.deployment.classes_file import CLASSES_FILE
from compressor_lib.deployment.export import classes_path, export_classifier, tflite_path
from compressor_lib.deployment.image_check import decodable
from compressor_lib.deployment.image_suffixes import is_read
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.predict import load_classifier
from compressor_lib.errors import CompressorError

CLASSES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A classifier by the brightest channel, in a push directory beside an older version."""
    directory = tmp_path_factory.mktemp("serving")
    images = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 16)(images))
    model = keras.Model(images, keras.layers.Softmax()(x))
    calibration = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    export_classifier(model, CLASSES, directory / "10", formats=["float32", "float16", "int8"], calibration=calibration)
    (directory / "9").mkdir()
    (directory / "9" / "saved_model.pb").write_bytes(b"an older one")
    return directory


@pytest.fixture(scope="module")
def green(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images") / "green.png"
    Image.new("RGB", (20, 10), (60, 160, 40)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["push directory", "SavedModel", "float32", "float16", "int8"])
def test_all_formats_of_a_model_give_the_same_predictions(exported, green, form):
    model = exported / "10"
    path = {"push directory": exported, "SavedModel": model}.get(form) or tflite_path(model, form)  # type: ignore[arg-type]
    classifier = load_classifier(path)
    answer = classifier.predict(green)
    assert classifier.classes == CLASSES
    assert list(answer) == ["green", "red", "blue"]
    assert answer["green"] == pytest.approx(0.998, abs=0.01)
    assert sum(answer.values()) == pytest.approx(1, abs=0.02)


def test_missing_model_error_suggests_the_nearest_name(exported):
    with pytest.raises(CompressorError, match=rf"does not exist\. Did you mean '{exported}'"):
        load_classifier(str(exported)[:-1])


def test_folder_without_model_is_reported(tmp_path):
    with pytest.raises(CompressorError, match="holds no SavedModel"):
        load_classifier(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["SavedModel", "float32", "float16", "int8"])
@pytest.mark.parametrize("names", ["red\ngreen\n", "red\ngreen\nblue\ngrey\n", ""])
def test_wrong_number_of_class_names_is_rejected(exported, tmp_path, form, names):
    model = shutil.copytree(exported / "10", tmp_path / "10")
    (model / "assets.extra" / CLASSES_FILE).write_text(names)
    number = len(names.splitlines())
    with pytest.raises(
        CompressorError, match=rf"names {number} classes, but the model has 3: restore the classes\.txt"
    ):
        load_classifier(model if form == "SavedModel" else tflite_path(model, form))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_class_names_in_another_order_are_rejected(exported, tmp_path, form):
    model = shutil.copytree(exported / "10", tmp_path / "10")
    (model / "assets.extra" / CLASSES_FILE).write_text("green\nred\nblue\n")
    with pytest.raises(CompressorError, match="names the classes green, red, blue, but the model has red, green, blue"):
        load_classifier(tflite_path(model, form))


def test_broken_model_is_reported(exported, tmp_path):
    with pytest.raises(CompressorError, match="cannot be loaded"):
        load_classifier(exported / "9")
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(CompressorError, match=r"classes\.txt', which names the classes of model\.tflite, is missing"):
        load_classifier(tmp_path / "model.tflite")
    shutil.copy(exported / "10" / "assets.extra" / CLASSES_FILE, tmp_path)
    with pytest.raises(CompressorError, match="is not a TFLite model"):
        load_classifier(tmp_path / "model.tflite")


@pytest.mark.parametrize("form", ["SavedModel", "float32"])
def test_unreadable_image_is_reported(exported, green, tmp_path, form):
    model = exported / "10"
    classifier = load_classifier(model if form == "SavedModel" else tflite_path(model))
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name, message in (
        ("broken.png", r"cannot be decoded \(not an image\)"),
        ("brokn.png", "Did you mean '.*broken.png'"),
    ):
        with pytest.raises(CompressorError, match=message):
            classifier.predict(tmp_path / name)
    assert next(iter(classifier.predict(green))) == "green"


def kept(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    return saved(Image.fromarray(pixels), kind, **options)


ORIENTED = Image.Exif()
ORIENTED[274] = 6
DEEP = np.arange(0, 2**16, 2**10, dtype=np.uint16).reshape(8, 8)
READ = {
    "palette.bmp": in_mode("P", "BMP")(1),
    "clear.webp": in_mode("RGBA", "WEBP", lossless=True)(2),
    "turned.webp": kept(pixels(3), "WEBP", lossless=True, exif=ORIENTED),
    "turned.tiff": kept(pixels(4), "TIFF", exif=ORIENTED),
    "cmyk.tif": in_mode("CMYK", "TIFF")(5),
    "deep.tif": saved(Image.fromarray(DEEP), "TIFF"),
    "grey.pgm": in_mode("L", "PPM")(6),
    "colour.ppm": in_mode("RGB", "PPM")(7),
    "turned.jpg": kept(pixels(8), "JPEG", exif=ORIENTED),
    **({"colour.avif": in_mode("RGB", "AVIF")(9)} if is_read("x.avif") else {}),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("form", ["SavedModel", "float32"])
def test_prediction_uses_the_same_pixels_as_training(exported, tmp_path, name, form):
    assert is_read(name)
    path = tmp_path / name
    path.write_bytes(READ[name])
    classifier = load_classifier(exported / "10" if form == "SavedModel" else tflite_path(exported / "10"))
    trained = decode_image(tf.constant(decodable(READ[name]).encoded), 8).numpy()
    expected = keras.ops.softmax(trained.astype(np.float32).mean(axis=(0, 1)) / 16).numpy()
    answer = classifier.predict(path)
    np.testing.assert_allclose([answer[one] for one in CLASSES], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "told"), [(b"red\ngreen\n", "names 2 classes, but the model has 3"), (b"r\xe9d\n", "is not UTF-8 text")]
)
@pytest.mark.parametrize("form", ["SavedModel", "float32"])
def test_class_names_that_do_not_fit_are_rejected(exported, tmp_path, content, told, form):
    model = tmp_path / "1"
    shutil.copytree(exported / "10", model)
    classes_path(model).write_bytes(content)
    with pytest.raises(CompressorError, match=told):
        load_classifier(model if form == "SavedModel" else tflite_path(model))
