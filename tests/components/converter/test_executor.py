"""The TFLite models that a Converter makes, and the figures it leaves."""

from __future__ import annotations

import filecmp
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx import types
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.artifacts.model_files import model_files
from components.converter import Converter
from components.converter.executor import Executor
from compressor_lib.deployment.export import export_saved_model, load_keras, read_classes, tflite_paths
from compressor_lib.deployment.images import encode_image
from compressor_lib.deployment.model_metrics import read_figures
from compressor_lib.deployment.tflite import tflite_predict, to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.errors import CompressorError
from compressor_lib.networks.heads import attach_head

pytestmark = pytest.mark.slow

CLASSES = ["Hüte", "dress", "shoes"]


@pytest.fixture(scope="module")
def trained(make_classifier, tmp_path_factory) -> standard_artifacts.Model:
    """A model as the Trainer leaves it: without TFLite."""
    model = standard_artifacts.Model()
    model.uri = str(tmp_path_factory.mktemp("retrain") / "model")
    export_saved_model(make_classifier(seed=1), CLASSES, path_utils.serving_model_dir(model.uri))
    return model


@pytest.fixture
def convert(trained, make_examples, images, tmp_path):
    """Runs the executor; returns the folder of what it made."""

    def run(*formats: str, base=trained, reference=trained, examples=None, name: str = "converted") -> Path:
        component = Converter(
            base_model=types.Channel(type=standard_artifacts.Model),
            reference=types.Channel(type=standard_artifacts.Model),
            examples=types.Channel(type=standard_artifacts.Examples),
            formats=formats,
        )
        model = standard_artifacts.Model()
        model.uri = str(tmp_path / name)
        examples = examples or make_examples({"train": [images["train"]]})
        inputs = {"base_model": [base], "reference": [reference], "examples": [examples]}
        Executor().Do(inputs, {"model": [model]}, dict(component.exec_properties))
        return Path(path_utils.serving_model_path(model.uri))

    return run


def test_formats_are_added_and_the_saved_model_is_unchanged(convert, trained, images):
    folder = convert("float16", "int8")

    assert list(tflite_paths(folder)) == ["float32", "float16", "int8"]
    before = Path(path_utils.serving_model_path(trained.uri))
    kept = [name for name in model_files(str(before)) if not name.endswith("figures.json")]
    assert filecmp.cmpfiles(before, folder, kept, shallow=False) == (kept, [], [])
    new = set(model_files(str(folder))) - set(model_files(str(before)))
    assert new == {f"assets.extra/{path.name}" for path in tflite_paths(folder).values()}
    images = images["train"][:4]
    ask = tf.saved_model.load(str(folder)).signatures["serving_default"]
    expected = ask(image_bytes=tf.stack([encode_image(image) for image in images]))["probabilities"].numpy()
    for path in tflite_paths(folder).values():
        np.testing.assert_allclose(tflite_predict(path, images), expected, atol=0.05)
        assert zipfile.ZipFile(path).read("labels.txt").decode().splitlines() == read_classes(folder) == CLASSES


def test_each_format_is_timed_beside_the_reference_and_an_equal_model_is_no_faster(convert, make_classifier):
    metrics = read_figures(convert("float16"))

    assert list(metrics.latency) == list(metrics.bytes) == ["reference", "float32", "float16"]
    assert all(0 < one.low <= one.median <= one.high for one in metrics.latency.values())
    assert list(metrics.speedup) == ["float32", "float16"]
    assert not metrics.speedup["float32"].is_measurable
    assert metrics.parameters == make_classifier(seed=1).count_params()
    assert 0 < metrics.bytes["float16"] < metrics.bytes["float32"]
    expanding = 16 * 16 * (6 + 24)  # block_1_expand reads 6 channels and writes 24
    assert metrics.memory == {"int8": expanding, "reference": expanding}


def test_a_smaller_model_is_faster_than_its_reference(convert, trained, small_backbone, tmp_path):
    import keras

    base = small_backbone()
    part = keras.Model(base.inputs, base.get_layer("block_1_project_BN").output)
    small = standard_artifacts.Model()
    small.uri = str(tmp_path / "small")
    export_saved_model(attach_head(part, 3), CLASSES, path_utils.serving_model_dir(small.uri))

    metrics = read_figures(convert(base=small, reference=trained))

    assert metrics.speedup["float32"].low > 1
    assert metrics.latency["float32"].median < metrics.latency["reference"].median
    assert metrics.bytes["float32"] < metrics.bytes["reference"]


def test_calibration_images_are_reproducible(convert, make_examples, images):
    examples = make_examples({"train": np.array_split(images["train"], 3)})
    one, other = (convert("int8", examples=examples, name=name) for name in ("one", "other"))
    for path, again in zip(tflite_paths(one).values(), tflite_paths(other).values(), strict=True):
        assert path.read_bytes() == again.read_bytes()


def test_images_are_only_read_for_int8(convert):
    nowhere = standard_artifacts.Examples()
    nowhere.uri = "/nowhere"
    nowhere.split_names = json.dumps(["train"])
    assert list(tflite_paths(convert("float32", examples=nowhere))) == ["float32"]
    with pytest.raises(CompressorError, match="no files match"):
        convert("int8", examples=nowhere, name="other")


def test_reference_bytes_include_metadata(convert, trained):
    """A model that is its own reference has its size."""
    folder = convert()
    sizes = read_figures(folder).bytes
    assert sizes["float32"] == tflite_paths(folder)["float32"].stat().st_size
    assert sizes["reference"] == pytest.approx(sizes["float32"], abs=64)  # padding
    alone = to_tflite(load_keras(path_utils.serving_model_path(trained.uri)))
    assert sizes["reference"] == len(with_metadata(alone, CLASSES)) > len(alone) + 500


class TestFailing:
    """TensorFlow's converter fails for some formats."""

    @pytest.fixture
    def failing(self, monkeypatch):
        from compressor_lib.deployment import tflite

        def fail(*precisions: str) -> None:
            import components.converter.executor as node
            from compressor_lib.deployment import conversion

            def failing(model, *, precision="float32", calibration=None):
                if precision in precisions:
                    raise tflite.ConversionError(f"{precision} fails", "it does not convert to TFLite (no kernel)")
                return tflite.to_tflite(model, precision=precision, calibration=calibration)

            monkeypatch.setattr(conversion, "to_tflite", failing)
            monkeypatch.setattr(node, "to_tflite", failing)

        return fail

    def test_other_formats_are_made_and_timed(self, convert, failing):
        failing("int8")
        folder = convert("float16", "int8")
        assert list(tflite_paths(folder)) == ["float32", "float16"]
        metrics = read_figures(folder)
        assert metrics.not_converted == {"int8": "it does not convert to TFLite (no kernel)"}
        assert list(metrics.latency) == list(metrics.bytes) == ["reference", "float32", "float16"]
        assert list(metrics.speedup) == ["float32", "float16"]

    def test_quantised_formats_are_kept_without_float32(self, convert, failing):
        """Nor is there a reference to compare with."""
        failing("float32")
        folder = convert("float16")
        metrics = read_figures(folder)
        assert list(tflite_paths(folder)) == list(metrics.latency) == ["float16"]
        assert list(metrics.not_converted) == ["float32", "reference"]
        assert metrics.speedup == {}

    def test_saved_model_is_kept_without_any_format(self, convert, failing, trained):
        failing("float32", "float16")
        folder = convert("float16")
        metrics = read_figures(folder)
        assert tflite_paths(folder) == metrics.latency == metrics.bytes == {}
        assert list(metrics.not_converted) == ["float32", "float16", "reference"]
        before = Path(path_utils.serving_model_path(trained.uri))
        assert set(model_files(str(folder))) == set(model_files(str(before)))
