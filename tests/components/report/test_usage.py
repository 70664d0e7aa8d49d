"""The code of a report is run as it stands on the page."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.report.usage import snippets

CLASSES = ["dress", "hat", "shirt & tie"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A version in a push directory whose path has a quote, a blank and a dollar sign."""
    import keras

    from compressor_lib.deployment.export import export_classifier

    keras.utils.set_random_seed(1)
    images = keras.Input((16, 16, 3))
    small = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(images))
    scores = keras.layers.Dense(3, "softmax", kernel_initializer="random_normal")(keras.layers.Flatten()(small))
    folder = tmp_path_factory.mktemp("it's $my model") / "serving" / "7"
    calibration = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    export_classifier(
        keras.Model(images, scores), CLASSES, folder, formats=["float32", "int8"], calibration=calibration
    )
    return folder


@pytest.fixture
def image(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((40, 40)).save("image.jpg", quality=95)
    return tmp_path / "image.jpg"


def code(model: str, *, precision: str = "float32", is_version: bool = True) -> dict[str, str]:
    file = "model.tflite" if precision == "float32" else f"model_{precision}.tflite"
    found = snippets(model, "my-model", {precision: file}, is_version=is_version)
    return {snippet.title.partition(",")[0]: snippet.code for snippet in found}


def said(text: str) -> tuple[str, float]:
    """What code prints: a class and its probability."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "snippet", "exec"), {"__name__": "snippet"})  # noqa: S102
    name, _, probability = out.getvalue().strip().rpartition(" ")
    return name, float(probability)


@pytest.mark.slow
def test_the_saved_models_code_predicts(exported, image):
    import tensorflow as tf

    name, probability = said(code(str(exported))["SavedModel"])
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    expected = served(image_bytes=tf.constant([image.read_bytes()]))
    assert (name, probability) == (
        expected["class"][0].numpy().decode(),
        pytest.approx(expected["probabilities"].numpy().max()),
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_tflite_models_code_predicts_the_same(exported, image, monkeypatch, precision):
    if "ai_edge_litert" not in sys.modules:
        pytest.importorskip("tensorflow")
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError:
        import tensorflow as tf

        # The same class by its older name.
        module = types.ModuleType("ai_edge_litert.interpreter")
        module.Interpreter = tf.lite.Interpreter
        monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    name, probability = said(code(str(exported), precision=precision)["TFLite"])
    expected, given = said(code(str(exported))["SavedModel"])
    assert name == expected
    assert probability == pytest.approx(given, abs=0.03)
    assert not re.search(r"\btensorflow|\btf\b", code(str(exported))["TFLite"])


@pytest.mark.slow
def test_the_rest_bodys_input_is_the_signatures(exported, image):
    import tensorflow as tf

    text = code(str(exported))["REST"]
    # The shell makes the body; what would send it prints it.
    asking = text.partition("# in another\n")[2].replace("curl -d @- ", "cat #")
    body = json.loads(subprocess.run(["sh", "-c", asking], capture_output=True, text=True, check=True).stdout)
    served = tf.saved_model.load(str(exported)).signatures[body["signature_name"]]
    (instance,) = body["instances"]
    _, inputs = served.structured_input_signature
    assert set(instance) == set(inputs) == {"image_bytes"}
    assert base64.b64decode(instance["image_bytes"]["b64"]) == image.read_bytes()
    # A string tensor that is not a b64 object would be taken for text.
    assert served(image_bytes=tf.constant([base64.b64decode(instance["image_bytes"]["b64"])]))["class"].shape == (1,)
    assert text.endswith("http://localhost:8501/v1/models/my-model:predict\n")


def test_tensorflow_serving_is_given_the_push_directory():
    assert "--model_base_path='/my models/serving'\n" in code("/my models/serving/7")["REST"]
    assert "--model_base_path=gs://bucket/serving\n" in code("gs://bucket/serving/7")["REST"]
    assert "REST" not in code("/root/retrain/model/7/Format-Serving", is_version=False)


@pytest.mark.parametrize(("model", "here"), [("gs://bucket/serving/7", False), ("minio://bucket/serving/7", True)])
def test_a_model_in_a_store_is_copied_where_its_reader_knows_no_stores(model, here):
    first = f"# First copy the folder {model} to one here named model.\n"
    found = code(model)
    assert found["SavedModel"].startswith(first) == here
    assert f"saved_model.load({'model' if here else model!r})" in found["SavedModel"]
    assert found["TFLite"].startswith(first)
    assert "folder = Path('model/assets.extra')" in found["TFLite"]
