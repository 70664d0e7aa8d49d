from __future__ import annotations

import io
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from odd_images import CONVERTED, SERVED
from PIL import Image
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx.components.trainer.fn_args_utils import FnArgs

from components.artifacts.class_list import write_class_list
from components.storage.examples import decode_images, image_dataset
from compressor_lib.deployment.export import (
    TEACHER_FILE,
    export_classifier,
    keras_path,
    load_keras,
    read_classes,
    tflite_paths,
)
from compressor_lib.deployment.image_check import decodable
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.model_metrics import read_figures
from compressor_lib.errors import CompressorError
from compressor_lib.networks.options import HeadOptions
from compressor_lib.training.options import Distillation, ReferenceOptions, RetrainingOptions
from pipelines.modules import HISTORY_FILE, preprocessing_fn, run_fn

pytestmark = pytest.mark.slow

SIZE = 32
SMALL = 20
"""A further size, which a search may try."""
NAMES = ["dog", "dog", "dog", "dog", "cat", "cat", "cat", "Hüte", "Hüte"]
CLASSES = ["dog", "gone", "cat", "Hüte"]
"""An order that neither names nor counts give, with a class that has no images any more."""
TRAINING = {"batch_size": 4, "batch_norm": "train", "learning_rate": 1e-2}


def encoded(number: int) -> bytes:
    """An image of noise, of a kind, a mode and a size that follow from its number."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 256, (20 + 5 * number, 64 - 4 * number, 3), dtype=np.uint8)
    kind, mode = (("JPEG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"))[number % 3]
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


RAW = [encoded(number) for number in range(len(NAMES))]


@pytest.fixture(scope="module")
def transform(tmp_path_factory):
    """Runs a Transform; returns its output and the transformed rows."""
    folder = tmp_path_factory.mktemp("transform")
    rows = [{"bytes": raw, "name": name} for raw, name in zip(RAW, NAMES, strict=True)]
    schema = schema_utils.schema_from_feature_spec({name: tf.io.VarLenFeature(tf.string) for name in ("bytes", "name")})
    config = {"sizes": [SIZE, SMALL], "image": "bytes", "label": "name", "code_version": "x", "classes": CLASSES}
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        data = [{key: [value] for key, value in row.items()} for row in rows]
        (transformed, _), transform_fn = (
            data,
            dataset_metadata.DatasetMetadata(schema),
        ) | tft_beam.AnalyzeAndTransformDataset(lambda inputs: preprocessing_fn(inputs, config))
        transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
    write_class_list(str(folder / "graph"), CLASSES)
    return tft.TFTransformOutput(str(folder / "graph")), transformed


@pytest.mark.parametrize(("name", "size"), [("image", SIZE), (f"image_{SMALL}", SMALL)])
def test_images_are_stored_as_the_pixels_that_are_served(transform, name, size):
    _, rows = transform
    assert len(rows) == len(RAW)
    for raw, row in zip(RAW, rows, strict=True):
        stored = row[name]
        assert stored.startswith(b"\x89PNG")
        pixels = tf.io.decode_png(stored)
        assert pixels.shape == (size, size, 3)
        np.testing.assert_array_equal(pixels, decode_image(raw, size))
        np.testing.assert_array_equal(pixels, decode_image(stored, size))


def test_training_evaluation_and_serving_see_the_same_pixels_at_a_further_size(transform, tmp_path):
    _, rows = transform
    examples = []
    for row in rows:
        example = tf.train.Example()
        for name in ("image", f"image_{SMALL}"):
            example.features.feature[name].bytes_list.value.append(row[name])
        examples.append(example.SerializeToString())
    (tmp_path / "Split-train").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-train" / "data.gz"), "GZIP") as writer:
        for one in examples:
            writer.write(one)
    pixels = keras.Input((SMALL, SMALL, 3))
    flat = keras.Model(pixels, keras.layers.Flatten()(pixels))
    export_classifier(flat, [str(number) for number in range(flat.output_shape[-1])], tmp_path / "model")
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures

    def seen(output: dict[str, tf.Tensor]) -> bytes:
        return output["probabilities"].numpy().astype(np.uint8).tobytes()

    trained = image_dataset(str(tmp_path / "Split-train" / "*"), size=SMALL, batch_size=99, labelled=False)
    (trained,) = trained.as_numpy_iterator()
    assert trained.std() > 10
    assert decode_images(examples, SMALL).tobytes() == trained.tobytes()  # a TFLite model in the Evaluator
    assert seen(signatures["serving_tf_example"](examples=tf.constant(examples))) == trained.tobytes()
    assert seen(signatures["serving_default"](image_bytes=tf.constant(RAW))) == trained.tobytes()
    resized_again = np.stack([decode_image(row["image"], SMALL) for row in rows])
    assert resized_again.tobytes() != trained.tobytes()


@pytest.mark.survives("500 odd images, trained on and served")
def test_500_images_of_all_kinds_are_served_as_they_are_trained_on(transform, tmp_path):
    kinds = [*SERVED.values(), CONVERTED["bmp"]]
    raw = [kinds[number % len(kinds)](number) for number in range(500)]
    clothing = Path(os.environ.get("COMPRESSOR_TEST_DATA", "../shared/data"), "clothing", "test")
    real = [path.read_bytes() for path in sorted(clothing.glob("*/*.jpg"))[:100]]
    raw[: len(real)] = real
    output, _ = transform

    read = [decodable(one).encoded for one in raw]
    layer = output.transform_features_layer()
    rows = layer({"bytes": tf.sparse.from_dense([[one] for one in read])})
    trained = np.stack([tf.io.decode_png(one) for one in rows["image"].numpy()])

    pixels = keras.Input((SIZE, SIZE, 3))
    flat = keras.Model(pixels, keras.layers.Flatten()(pixels))
    export_classifier(flat, [str(number) for number in range(flat.output_shape[-1])], tmp_path / "model")
    serve = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    served = serve(image_bytes=tf.constant(raw))["probabilities"].numpy().reshape(trained.shape)

    assert served.astype(np.uint8).tobytes() == trained.tobytes()
    assert trained.std() > 10


def test_labels_become_indices_of_the_given_classes(transform):
    _, rows = transform
    assert [row["label"] for row in rows] == [CLASSES.index(name) for name in NAMES]


@pytest.fixture(scope="module")
def make_args(transform, tmp_path_factory):
    """Makes what the Trainer hands to ``run_fn``; training and validation data are the same."""
    output, rows = transform
    data = tmp_path_factory.mktemp("examples") / "data.gz"
    with tf.io.TFRecordWriter(str(data), "GZIP") as writer:
        for row in rows:
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row["image"]])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[row["label"]])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())

    def make(custom_config: dict, base_model: Path | None = None) -> FnArgs:
        folder = tmp_path_factory.mktemp("trainer")
        # As TFX does: what is given to the component is turned into JSON and back.
        custom_config = json.loads(json.dumps({"seed": 3, "code_version": "x", **custom_config}))
        return FnArgs(
            train_files=[f"{data.parent}/*"],
            eval_files=[f"{data.parent}/*"],
            transform_graph_path=output.transform_savedmodel_dir,
            transform_output=str(Path(output.transform_savedmodel_dir).parent),
            serving_model_dir=str(folder / "model" / "1" / "Format-Serving"),
            model_run_dir=str(folder / "model_run" / "1"),
            base_model=str(base_model) if base_model else None,
            custom_config=custom_config,
        )

    return make


@pytest.fixture(scope="module")
def reference(make_args) -> FnArgs:
    """A reference that was trained."""
    fn_args = make_args(
        {
            "role": "reference",
            "backbone": {
                "name": "MobileNetV2", "input_size": SIZE, "alpha": 0.35, "weights": "none",
            },
            "head": asdict(HeadOptions(units=4, dropout=0.1)),
            "training": asdict(ReferenceOptions(head_epochs=0, epochs=1, **TRAINING)),
        }
    )  # fmt: skip
    run_fn(fn_args)
    return fn_args


def history(fn_args: FnArgs) -> dict[str, list[float]]:
    return json.loads((Path(fn_args.model_run_dir) / HISTORY_FILE).read_text())


def test_the_reference_is_built_trained_and_exported(reference):
    model = load_keras(reference.serving_model_dir)

    assert model.input_shape == (None, SIZE, SIZE, 3)
    assert [layer.name for layer in model.layers[-4:]] == [
        "top_gap", "top_dropout", "top_fc1", "classifier",
    ]  # fmt: skip
    assert model.get_layer("top_fc1").units == 4
    assert read_classes(reference.serving_model_dir) == CLASSES
    assert len(history(reference)["val_accuracy"]) == 1
    assert history(reference)["eval_images"] == [len(NAMES)]
    served = tf.saved_model.load(reference.serving_model_dir).signatures["serving_default"]
    expected = model(tf.stack([tf.cast(decode_image(RAW[0], SIZE), tf.float32)]), training=False)
    found = served(image_bytes=tf.constant(RAW[:1]))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)


@pytest.mark.parametrize("keeps_head", [True, False])
def test_the_reference_starts_from_a_model_of_ones_own(make_args, tmp_path, keeps_head):
    own = small_classifier()
    own.get_layer("classifier").set_weights([np.zeros((4, 4)), np.array([0.0, 9, 0, 0])])  # always says "Hüte"
    own.save(tmp_path / "own.keras")
    # At this rate training changes next to nothing.
    training = ReferenceOptions(head_epochs=1, epochs=0, **{**TRAINING, "head_learning_rate": 1e-9})
    fn_args = make_args(
        {
            "role": "reference",
            "backbone": {
                "name": None, "model": str(tmp_path / "own.keras"), "rescale": None, "input_size": SIZE,
                "classes": ["cat", "Hüte", "dog", "gone"] if keeps_head else None,
            },
            "head": asdict(HeadOptions(units=5)),
            "training": asdict(training),
        }
    )  # fmt: skip
    run_fn(fn_args)

    reference = load_keras(fn_args.serving_model_dir)
    np.testing.assert_array_equal(reference.get_layer("stem").get_weights()[0], own.get_layer("stem").get_weights()[0])
    if keeps_head:
        assert [layer.name for layer in reference.layers[-2:]] == ["top_gap", "classifier"]
        answers = reference(np.zeros((1, SIZE, SIZE, 3)))
        assert CLASSES[int(np.argmax(answers))] == "Hüte"
    else:
        assert reference.get_layer("top_fc1").units == 5


def compressed(make_args, base_model: Path, weight: float, **custom_config) -> FnArgs:
    training = RetrainingOptions(head_epochs=0, epochs=1, distillation=Distillation(weight), **TRAINING)
    fn_args = make_args({"role": "compressed", "training": asdict(training), **custom_config}, base_model)
    run_fn(fn_args)
    return fn_args


def small_classifier(size: int = SIZE) -> keras.Model:
    """Stands in for what a search leaves."""
    keras.utils.set_random_seed(0)
    images = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocess")(images)
    x = keras.layers.Conv2D(4, 3, strides=4, name="stem")(x)
    x = keras.layers.GlobalAveragePooling2D(name="top_gap")(x)
    return keras.Model(images, keras.layers.Dense(len(CLASSES), activation="softmax", name="classifier")(x))


@pytest.fixture(scope="module")
def found(reference, tmp_path_factory) -> Path:
    """A folder as the search leaves it."""
    folder = tmp_path_factory.mktemp("search")
    keras_path(folder).parent.mkdir()
    small_classifier().save(keras_path(folder))
    keras_path(folder, TEACHER_FILE).write_bytes(keras_path(reference.serving_model_dir).read_bytes())
    return folder


@pytest.fixture(scope="module")
def alone(make_args, found) -> FnArgs:
    """A compressed model that was trained without teacher."""
    return compressed(make_args, found, weight=0.0)


def test_the_compressed_model_is_the_base_model_trained_under_its_teacher(make_args, found, alone):
    taught = compressed(make_args, found, weight=1.0)

    before, after, other = (load_keras(folder) for folder in (found, taught.serving_model_dir, alone.serving_model_dir))
    assert [layer.name for layer in after.layers] == [layer.name for layer in before.layers]
    kernels = [model.get_layer("stem").get_weights()[0] for model in (before, after, other)]
    assert not np.array_equal(kernels[0], kernels[1])
    # Same seed and data: the teacher alone makes the difference.
    assert not np.array_equal(kernels[1], kernels[2])
    assert read_classes(taught.serving_model_dir) == CLASSES
    assert len(history(taught)["val_accuracy"]) == 1


def test_a_compressed_model_of_smaller_images_learns_from_its_teacher_at_its_own_size(make_args, reference, tmp_path):
    keras_path(tmp_path).parent.mkdir()
    small_classifier(SIZE // 2).save(keras_path(tmp_path))
    keras_path(tmp_path, TEACHER_FILE).write_bytes(keras_path(reference.serving_model_dir).read_bytes())
    trained = load_keras(compressed(make_args, tmp_path, weight=1.0).serving_model_dir)
    assert trained.input_shape[1] == SIZE // 2


def test_trainers_leave_tflite_to_the_converter(reference, alone):
    for trained in (reference, alone):
        assert tflite_paths(trained.serving_model_dir) == {}
        assert read_figures(trained.serving_model_dir).latency == {}


def test_the_seed_decides(make_args, found, alone):
    assert history(compressed(make_args, found, weight=0.0)) == history(alone)


def test_classes_are_balanced_on_request(make_args, found, alone):
    balanced = history(compressed(make_args, found, weight=0.0, class_weights="balanced"))
    assert balanced["loss"] != history(alone)["loss"]


def test_a_base_model_without_its_teacher_is_told(make_args, tmp_path):
    keras_path(tmp_path).parent.mkdir()
    small_classifier().save(keras_path(tmp_path))
    with pytest.raises(CompressorError, match=r"teacher\.keras is missing"):
        compressed(make_args, tmp_path, weight=0.5)


def test_a_training_that_was_cut_short_resumes_in_the_next_try_of_its_node(make_args, monkeypatch, caplog):
    config = {
        "role": "reference",
        "backbone": {"name": "MobileNetV2", "input_size": SIZE, "alpha": 0.35, "weights": "none"},
        "head": asdict(HeadOptions(units=4)),
        "training": asdict(ReferenceOptions(head_epochs=0, epochs=2, **TRAINING)),
    }
    first = make_args(config)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.modules.export_saved_model", killed)
        with pytest.raises(KeyboardInterrupt):
            run_fn(first)
    node = Path(first.serving_model_dir).parents[2]
    assert not list(node.glob(".training/*/done"))
    next_try = make_args(config)
    next_try.serving_model_dir = str(node / "model" / "2" / "Format-Serving")
    with caplog.at_level(logging.INFO):
        run_fn(next_try)
    assert "resuming after epoch 2" in caplog.text
    assert len(history(next_try)["loss"]) == 2
    assert len(list(node.glob(".training/*/done"))) == 1
