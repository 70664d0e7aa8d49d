"""Every format that ships, in the runtimes of apps: LiteRT and MediaPipe Tasks, without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from isolated import isolated_python, mediapipe_python
from PIL import Image

from compressor_lib.deployment.export import export_classifier, tflite_paths
from compressor_lib.deployment.images import decode_image
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.networks.heads import attach_head

pytestmark = [pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("COMPRESSOR_TEST_DATA", ROOT / "../shared/data")).resolve()
EXAMPLE = ROOT / "examples" / "tflite_without_tensorflow.py"
IMAGES = 20
SURE = 0.9
SIZE = 96

MEDIAPIPE = """
import json, runpy, sys
import mediapipe
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

example, model, *images = sys.argv[1:]
names = runpy.run_path(example)
_, height, width, _ = names["Classifier"](model).input["shape"]
assert "tensorflow" not in sys.modules
with ImageClassifier.create_from_options(ImageClassifierOptions(base_options=BaseOptions(model))) as classifier:
    for file in images:
        # MediaPipe itself resizes without antialiasing.
        pixels = names["read_image"](file, int(width), int(height))
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        (head,) = classifier.classify(image).classifications
        print(json.dumps([head.categories[0].category_name, head.categories[0].score]))
"""
LITERT = """
import json, runpy, sys

example, model, *images = sys.argv[1:]
classifier = runpy.run_path(example)["Classifier"](model)
assert "tensorflow" not in sys.modules
for file in images:
    print(json.dumps(next(iter(classifier.predict(file).items()))))
"""


def digits(folder: Path) -> tuple[keras.Model, list[str], list[Path], np.ndarray]:
    """A network that knows handwritten digits, trained in seconds, and files of some that it has not seen."""
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    classes = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "九"]
    found = load_digits()
    pixels = np.repeat(np.rint(255 / 16 * found.images).astype(np.uint8)[..., None], 3, axis=-1)
    images = np.rint(tf.image.resize(pixels, (SIZE // 4, SIZE // 4)).numpy()).astype(np.uint8)
    inputs = keras.Input((*images.shape[1:],))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for width in (16, 32):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:-200], found.target[:-200], epochs=12, batch_size=32, verbose=0)
    files = []
    for number, image in enumerate(images[-3 * IMAGES :]):
        files.append(folder / f"{number:02}.png")
        # Larger than the network's input, and not square, as a camera's images are.
        Image.fromarray(image).resize((48, 36), Image.Resampling.BICUBIC).save(files[-1])
    return model, classes, files, images[:100]


def clothing(folder: Path) -> tuple[keras.Model, list[str], list[Path], np.ndarray]:
    """MobileNetV2 with a head fitted on photographs, and photographs of the test split."""
    weights = DATA / "weights" / "mobilenet_v2_0.35_224_no_top.h5"
    if not weights.is_file() or not (DATA / "clothing").is_dir():
        pytest.skip(f"no weights/ and clothing/ in {DATA}: set COMPRESSOR_TEST_DATA to where they are")
    keras.utils.set_random_seed(0)
    names = sorted(path.name for path in (DATA / "clothing" / "train").iterdir() if path.is_dir())[:5]
    base = BACKBONES["MobileNetV2"].build(input_size=SIZE, weights=weights, alpha=0.35, preprocess=True)
    model = attach_head(base, len(names), dropout=0.0)

    def of(split: str, count: int) -> list[Path]:
        return [file for name in names for file in sorted((DATA / "clothing" / split / name).glob("*.jpg"))[:count]]

    train = of("train", 40)
    images = np.stack([decode_image(file.read_bytes(), SIZE).numpy() for file in train])
    labels = np.array([names.index(file.parent.name) for file in train])
    base.trainable = False
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, epochs=15, batch_size=32, verbose=0)
    return model, [f"{name} ✓ ö" for name in names], of("test", 20), images[::2]


@pytest.fixture(scope="module", params=[digits, pytest.param(clothing, marks=pytest.mark.real_data)])
def exported(request, tmp_path_factory) -> tuple[Path, list[Path], list[str]]:
    """An exported folder, image files, and the classes that the SavedModel predicts for them."""
    isolated_python()  # skipped before anything is trained
    folder = tmp_path_factory.mktemp("mobile")
    model, classes, files, calibration = request.param(folder)
    export_classifier(model, classes, folder / "1", formats=["float32", "float16", "int8"], calibration=calibration)
    ask = tf.saved_model.load(str(folder / "1")).signatures["serving_default"]
    predicted = ask(image_bytes=tf.constant([file.read_bytes() for file in files]))
    # Of two classes that are almost equally likely, rounding and another way to resize may choose the other: so
    # those of each class that the network is surest of.
    probabilities = predicted["probabilities"].numpy().max(axis=-1)
    named = np.array([name.decode() for name in predicted["class"].numpy()])
    each = -(-IMAGES // len(classes))
    surest = [[n for n in np.argsort(-probabilities) if named[n] == name][:each] for name in classes]
    chosen = sorted(n for of_class in surest for n in of_class)
    names = [str(name) for name in named[chosen]]
    assert len(chosen) >= IMAGES
    assert probabilities[chosen].min() > SURE
    return folder / "1", [files[number] for number in chosen], names


def said(python: str, script: str, *arguments: Path) -> Iterator[tuple[str, float]]:
    command = [python, "-I", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return (tuple(json.loads(line)) for line in done.stdout.splitlines())


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_litert_and_the_example_predict_what_the_saved_model_does(exported, precision):
    folder, files, expected = exported
    found = list(said(isolated_python(), LITERT, EXAMPLE, tflite_paths(folder)[precision], *files))
    assert [name for name, _ in found] == expected
    assert all(0.2 < probability <= 1 for _, probability in found)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_mediapipe_predicts_the_same_classes_from_the_same_file(exported, precision):
    folder, files, expected = exported
    found = list(said(mediapipe_python(), MEDIAPIPE, EXAMPLE, tflite_paths(folder)[precision], *files))
    assert [name for name, _ in found] == expected
    assert all(0.2 < score <= 1 for _, score in found)
