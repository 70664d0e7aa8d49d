from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.deployment import conversion, export
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.model_metrics import read_figures
from compressor_lib.deployment.tflite import tflite_interpreter, tflite_predict, to_tflite
from compressor_lib.errors import CompressorError
from compressor_lib.objective.metrics import AccuracyCompression

pytestmark = pytest.mark.slow

SIZE = 16
NAMES = ["dress", "Hüte", "shoes & socks"]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocess")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="top_gap")(x)
    x = keras.layers.Dropout(0.5, name="top_dropout")(x)
    x = keras.layers.Dense(3, activation="softmax", name="classifier")(x)
    model = keras.Model(inputs, x)
    # Strong enough that different images get clearly different answers.
    model.get_layer("classifier").kernel.assign(10 * model.get_layer("classifier").kernel)
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("serving") / "deep" / "1"
    export.export_classifier(model, NAMES, directory)
    return directory


@pytest.fixture(scope="module")
def encoded() -> list[bytes]:
    rng = np.random.default_rng(0)
    jpeg = rng.integers(0, 80, (40, 30, 3), dtype=np.uint8)
    png = rng.integers(150, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    grey = rng.integers(0, 256, (9, 21, 1), dtype=np.uint8)
    images = (tf.io.encode_jpeg(jpeg), tf.io.encode_png(png), tf.io.encode_png(grey))
    return [image.numpy() for image in images]


@pytest.fixture(scope="module")
def expected(model, encoded) -> np.ndarray:
    images = tf.stack([decode_image(image, SIZE) for image in encoded])
    return model(tf.cast(images, tf.float32), training=False).numpy()


def example(image: bytes, **others: bytes) -> bytes:
    def feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    features = {"image": feature(image), "label": label, "filename": feature(b"a/b.jpg")}
    features |= {name: feature(value) for name, value in others.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_new_process_serves_with_tensorflow_only(exported, encoded, expected, tmp_path):
    for number, image in enumerate(encoded):
        (tmp_path / f"{number}.img").write_bytes(image)
        (tmp_path / f"{number}.example").write_bytes(example(image))
    script = f"""
import json, pathlib
import tensorflow as tf
folder = pathlib.Path({str(tmp_path)!r})
signatures = tf.saved_model.load({str(exported)!r}).signatures
def ask(signature, argument, pattern):
    batch = [path.read_bytes() for path in sorted(folder.glob(pattern))]
    answer = signatures[signature](**{{argument: tf.constant(batch)}})
    classes = [name.decode() for name in answer["class"].numpy()]
    return [sorted(answer), answer["probabilities"].numpy().tolist(), classes]
result = [ask("serving_default", "image_bytes", "*.img"),
          ask("serving_tf_example", "examples", "*.example")]
(folder / "result.json").write_text(json.dumps(result))
"""
    # -I: neither the working folder nor PYTHONPATH can bring the project in.
    subprocess.run([sys.executable, "-I", "-c", script], check=True, cwd=tmp_path, timeout=120)
    for keys, probabilities, classes in json.loads((tmp_path / "result.json").read_text()):
        assert keys == ["class", "probabilities"]
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        assert classes == [NAMES[index] for index in expected.argmax(axis=1)]


def test_different_images_get_different_predictions(expected):
    assert np.ptp(expected, axis=0).max() > 0.1


def test_signatures_have_an_open_batch_and_named_ends(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    for signature, argument in (
        ("serving_default", "image_bytes"),
        ("serving_tf_example", "examples"),
    ):
        _, inputs = signatures[signature].structured_input_signature
        assert inputs == {argument: tf.TensorSpec([None], tf.string, name=argument)}
        outputs = signatures[signature].structured_outputs
        assert (outputs["probabilities"].dtype, outputs["class"].dtype) == (tf.float32, tf.string)


def test_example_without_image_is_rejected(exported):
    ask = tf.saved_model.load(str(exported)).signatures["serving_tf_example"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        ask(examples=tf.constant([tf.train.Example().SerializeToString()]))


def test_example_with_an_image_of_the_models_size_is_read_at_it(exported, encoded, expected):
    ask = tf.saved_model.load(str(exported)).signatures["serving_tf_example"]
    other, sized, plain = encoded
    batch = [example(other, **{f"image_{SIZE}": sized, "image_20": b"no image"}), example(plain)]
    found = ask(examples=tf.constant(batch))["probabilities"].numpy()
    np.testing.assert_allclose(found, expected[1:], atol=1e-5)


def test_tflite_gives_the_models_predictions(exported, encoded, expected):
    images = np.stack([decode_image(image, SIZE) for image in encoded])
    answers = tflite_predict(export.tflite_path(exported), images)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    content = export.tflite_path(exported).read_bytes()
    np.testing.assert_array_equal(tflite_predict(content, images.astype(np.float64)), answers)


def test_keras_file_and_classes_are_exported(model, exported):
    assert export.read_classes(exported) == NAMES
    back = export.load_keras(exported)
    for one, other in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_search_result_loads_in_another_process(model, tmp_path):
    searched = keras.models.clone_model(model)
    searched.compile(loss="sparse_categorical_crossentropy", metrics=[AccuracyCompression(0.5, 0.9, name="acc_comp")])
    path = export.keras_path(tmp_path)
    path.parent.mkdir()
    searched.save(path)
    code = (
        f"from compressor_lib.deployment.export import load_keras; print(load_keras({str(tmp_path)!r}).count_params())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.split() == [str(model.count_params())], found.stderr


def test_only_the_folder_is_left_behind(exported):
    assert [path.name for path in exported.parent.iterdir()] == ["1"]
    inside = {path.name for path in (exported / export.EXTRA).iterdir()}
    assert inside == {"model.keras", "model.tflite", "classes.txt", "figures.json"}


def test_figures_are_read_without_the_model(model, exported):
    figures = read_figures(exported)
    assert (figures.parameters, figures.input_size) == (model.count_params(), SIZE)


def test_empty_folder_is_accepted_and_nonempty_folder_rejected(model, tmp_path):
    export.export_classifier(model, NAMES, tmp_path)
    assert (tmp_path / "saved_model.pb").is_file()
    with pytest.raises(CompressorError, match="not an empty folder"):
        export.export_classifier(model, NAMES, str(tmp_path))


@pytest.fixture(scope="module")
def calibration(encoded) -> np.ndarray:
    return np.stack([decode_image(image, SIZE) for image in encoded])


def test_other_formats_are_written_next_to_float32(model, calibration, expected, tmp_path):
    export.export_classifier(model, NAMES, tmp_path, formats=["int8", "float16", "int8"], calibration=calibration)
    paths = export.tflite_paths(tmp_path)
    assert {precision: path.name for precision, path in paths.items()} == {
        "float32": "model.tflite", "float16": "model_float16.tflite", "int8": "model_int8.tflite",
    }  # fmt: skip
    for precision, path in paths.items():
        assert path == export.tflite_path(tmp_path, precision)
        np.testing.assert_allclose(tflite_predict(path, calibration), expected, atol=0.05)
    dtypes = [tflite_interpreter(path).get_input_details()[0]["dtype"] for path in paths.values()]
    assert dtypes == [np.float32, np.float32, np.uint8]


def test_folder_holds_the_requested_formats(exported):
    assert list(export.tflite_paths(exported)) == ["float32"]


def test_int8_of_an_untrained_model_passes_on_noise(model, tmp_path):
    fresh = keras.models.clone_model(model)
    noise = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    export.export_classifier(fresh, NAMES, tmp_path, formats=["int8"], calibration=noise)


@pytest.mark.parametrize(
    ("precision", "message"),
    [("float32", "does not convert faithfully"), ("float16", "remove this format")],
)
def test_unfaithful_tflite_model_is_rejected_and_nothing_is_written(
    model, calibration, tmp_path, monkeypatch, precision, message
):
    other = keras.models.clone_model(model)
    other.set_weights([-weight if weight.ndim == 2 else weight for weight in model.get_weights()])
    twins = {True: to_tflite(other), False: to_tflite(model)}
    monkeypatch.setattr(conversion, "to_tflite", lambda *_, **options: twins[options["precision"] == precision])
    with pytest.raises(CompressorError, match=message):
        export.export_classifier(model, NAMES, tmp_path / "out", formats=["float16"], calibration=calibration)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.survives("an export fails half way")
def test_failed_export_leaves_nothing_behind(model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        export.export_classifier(model, NAMES, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "2 class names for a model of 3 classes"),
        (["a", "b", "b"], "same name"),
        (["a", "b", "c\nd"], "not one line"),
        (["a", "b", ""], "not one line"),
    ],
)
def test_class_names_that_do_not_fit_are_rejected(model, tmp_path, names, message):
    with pytest.raises(CompressorError, match=message):
        export.export_classifier(model, names, tmp_path / "out")


def test_missing_and_foreign_files_are_reported(tmp_path):
    with pytest.raises(CompressorError, match=r"teacher\.keras is missing"):
        export.load_keras(tmp_path, "teacher.keras")
    with pytest.raises(CompressorError, match=r"classes\.txt is missing"):
        export.read_classes(tmp_path)
    (tmp_path / export.EXTRA).mkdir()
    export.keras_path(tmp_path).write_bytes(b"not a model")
    with pytest.raises(CompressorError, match="not a Keras model"):
        export.load_keras(tmp_path)


@pytest.mark.survives("a Keras file that would run code")
def test_file_that_would_run_code_is_rejected(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1, output_shape=(2,))(inputs))
    (tmp_path / export.EXTRA).mkdir()
    model.save(export.keras_path(tmp_path))
    with pytest.raises(CompressorError, match="safely"):
        export.load_keras(tmp_path)
