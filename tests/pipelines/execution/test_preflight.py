from __future__ import annotations

import importlib.util
import os
from urllib.error import URLError

import keras
import pytest
from s3_server import S3Server

from components.artifacts.class_list import write_class_list
from compressor_lib.errors import CompressorError
from compressor_lib.networks import weights_download
from compressor_lib.networks.backbones import BACKBONES
from pipelines.config.config import load_config
from pipelines.execution.preflight import (
    check_classes,
    check_images,
    check_installed,
    check_network,
    check_output,
    planned_trials,
)


def config(tmp_path, *overrides):
    (tmp_path / "images").mkdir(exist_ok=True)
    file = tmp_path / "config.yaml"
    file.write_text(
        f"{{name: a, data: {{source: folder, path: {tmp_path}/images}}, "
        "backbone: {name: MobileNetV2, input_size: 32, alpha: 0.35, weights: none}}"
    )
    return load_config(file, overrides)


def test_a_network_and_connections_that_are_right_pass(tmp_path):
    given = config(tmp_path, "search.connections=['53,151', 'block_5_add->tail']")
    network = check_network(given, ["a", "b", "c"])
    assert (network.connections, network.weights) == (2, "random")
    assert network.parameters == 410_208 + 3 * 1281
    assert network.macs > 1_000_000


def test_all_networks_of_the_search_are_counted(tmp_path):
    given = config(
        tmp_path, "search.connections=['block_5_add->tail', 'block_5_add->head']", "search.input_sizes=[32, 64]",
        "search.backbones=[{name: MobileNetV2, alpha: 0.5, weights: none}]",
    )  # fmt: skip
    network = check_network(given)
    assert (network.searched, network.connections, network.left_out) == (4, 8, {})
    # Four times the positions at 64 px, and about twice the MACs at the other width.
    assert 12 < network.passes < 16


@pytest.mark.slow
def test_budgets_that_no_network_of_the_search_meets_are_refused(tmp_path):
    networks = "search.input_sizes=[32, 64]", "search.backbones=[{name: MobileNetV2, alpha: 0.5, weights: none}]"
    for budget in ("memory_kb=1", "parameters=100"):
        with pytest.raises(CompressorError, match="^no connection meets the budgets: the closest one, "):
            check_network(config(tmp_path, *networks, f"search.budgets.{budget}"))
    check_network(config(tmp_path, *networks, "search.budgets.memory_kb=40"))


def test_a_size_that_the_users_own_model_cannot_take_is_refused(tmp_path):
    layers = keras.layers
    images = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 64, 4))(layers.Conv2D(4, 3, padding="same", strides=1)(images))
    x = layers.Conv2D(8, 3, padding="same", name="last")(layers.Conv2D(8, 3, padding="same", name="first")(x))
    x = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    keras.Model(images, x).save(tmp_path / "own.keras")
    given = config(
        tmp_path,
        f"backbone={{model: {tmp_path}/own.keras}}",
        "search.input_sizes=[48]",
        "search.connections=truncation",
    )
    with pytest.raises(CompressorError, match=r"^search\.input_sizes: the network .* cannot take images of 48 pixels"):
        check_network(given)


def test_a_folder_of_no_known_layout_is_refused(tmp_path):
    given = config(tmp_path)
    with pytest.raises(CompressorError, match=f"'{tmp_path}/images' has no class folders"):
        check_images(given)


def images(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(5):
            (folder / name / f"{number}.jpg").touch()


def test_images_are_counted_as_they_are_dealt(tmp_path):
    images(tmp_path / "images", "cat", "dog")
    shares = {"train": {"cat": 3, "dog": 3}, "eval": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
    assert check_images(config(tmp_path)).counts == shares


def test_images_that_are_split_already_are_counted_where_they_are(tmp_path):
    images(tmp_path / "images", *(f"{split}/{name}" for split in ("train", "val", "test") for name in ("a", "b")))
    counts = check_images(config(tmp_path)).counts
    assert counts == {split: {"a": 5, "b": 5} for split in ("train", "eval", "test")}


def test_the_digits_are_counted_before_they_are_written(tmp_path):
    counts = check_images(config(tmp_path, "data={source: digits, path: null}", f"output={tmp_path}/out")).counts
    assert {split: sum(by_class.values()) for split, by_class in counts.items()} == {
        "train": 1438,
        "eval": 180,
        "test": 179,
    }
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("folders", "message"),
    [(["cat"], "has a single class, 'cat'"), ([], "has no class folders")],
)
def test_too_few_classes_are_refused(tmp_path, folders, message):
    images(tmp_path / "images", *folders)
    with pytest.raises(CompressorError, match=message):
        check_images(config(tmp_path))


def test_too_few_images_are_refused(tmp_path):
    images(tmp_path / "images", "cat", "dog")
    for number in range(3):
        (tmp_path / "images" / "dog" / f"{number}.jpg").unlink()
    with pytest.raises(CompressorError, match="class 'dog' has 2 image"):
        check_images(config(tmp_path))


def test_more_images_left_out_than_allowed_are_refused_as_the_first_node_does(tmp_path):
    images(tmp_path / "images", "cat", "dog")
    for number in range(2):
        (tmp_path / "images" / "cat" / f"{number}.heic").touch()
    (tmp_path / "images" / "dog.svg").touch()
    told = r"3 of 13 images in data folder '.*' cannot be used \(2 \.heic, 1 .*\), more than max_bad_share 0\.2 allows"
    with pytest.raises(CompressorError, match=told):
        check_images(config(tmp_path, "data.max_bad_share=0.2"))
    found = check_images(config(tmp_path, "data.max_bad_share=0.25"))
    assert found.left_out == {".heic": 2, ".svg outside class folders": 1}
    assert sum(found.counts["train"].values()) == 6


def test_images_without_suffix_are_counted(tmp_path):
    images(tmp_path / "images", "cat", "dog")
    for number in range(5):
        (tmp_path / "images" / "cat" / f"{number}.jpg").unlink()
        (tmp_path / "images" / "cat" / f"{number}").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "images" / "cat" / "LICENSE").write_text("Do as you like.")
    found = check_images(config(tmp_path))
    assert (found.counts["train"], found.left_out) == ({"cat": 3, "dog": 3}, {})


def records(folder, **features):
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in features.items()
    }
    with tf.io.TFRecordWriter(str(folder / "data.tfrecord")) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            {"img": "", "label": "a"},
            r"'image' \(it has img, label\): name the feature with --set data.image_feature=NAME",
        ),
        (
            {"image": "", "class": "a"},
            r"'label' \(it has class, image\): name the feature with --set data.label_feature",
        ),
        ({}, r"has no feature 'image' \(it has none\)"),
    ],
)
def test_tfrecords_without_a_feature_are_refused(tmp_path, features, message):
    records(tmp_path / "records", **features)
    given = config(tmp_path, f"data={{source: tfrecord, path: {tmp_path}/records}}")
    with pytest.raises(CompressorError, match=message):
        check_images(given)


def test_tfrecords_with_their_features_pass_also_in_spans(tmp_path):
    records(tmp_path / "records" / "span-1", image="", label="a")
    check_images(
        config(tmp_path, f"data={{source: tfrecord, path: {tmp_path}/records, span_pattern: 'span-{{SPAN}}'}}")
    )


def test_a_file_of_no_records_and_a_folder_without_files_are_refused(tmp_path):
    (tmp_path / "records").mkdir()
    given = config(tmp_path, f"data={{source: tfrecord, path: {tmp_path}/records}}")
    with pytest.raises(CompressorError, match="holds no TFRecord files"):
        check_images(given)
    (tmp_path / "records" / "data").write_text("no records" * 10)
    with pytest.raises(CompressorError, match="holds no TFRecords of tf.Examples"):
        check_images(given)


@pytest.mark.parametrize(("place", "why"), [("file", "is a file"), ("file/deeper/still", "is a file")])
def test_an_output_that_takes_no_files_is_refused_and_nothing_is_written(tmp_path, place, why):
    (tmp_path / "file").touch()
    with pytest.raises(CompressorError, match=why):
        check_output(str(tmp_path / place))
    check_output(str(tmp_path / "new" / "deeper"))
    check_output("gs://bucket/run")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("deeper", ["", "deeper", "deeper/still"])
def test_an_output_below_a_folder_not_to_be_entered_is_refused(tmp_path, closed, deeper):
    with pytest.raises(
        CompressorError, match=r"cannot be written to \(Permission denied\): choose another folder with"
    ):
        check_output(str(closed / deeper))


@pytest.mark.parametrize(
    ("overrides", "planned"),
    [
        (["search.tuner=bayesian", "search.max_trials=7"], 7),
        (["search.tuner=random", "search.max_trials=7"], 7),
        (["search.tuner=hyperband", "search.max_trials=20"], 20),
    ],
)
def test_trials_to_come(tmp_path, overrides, planned):
    assert planned_trials(config(tmp_path, *overrides)) == planned


def test_the_newest_span_is_looked_at(tmp_path):
    given = config(tmp_path, "data.span_pattern=span-{SPAN}")
    with pytest.raises(CompressorError, match="cannot find the newest span"):
        check_images(given)
    for number, folder in ((1, "cat"), (2, "train/cat")):
        (tmp_path / "images" / f"span-{number}" / folder).mkdir(parents=True)
    with pytest.raises(CompressorError, match="span-2' has split folders, but split 'eval' is missing"):
        check_images(given)


def test_every_span_of_a_window_is_looked_at(tmp_path):
    given = config(tmp_path, "data.span_pattern=span-{SPAN}", "data.span_window=2")
    for name in ("span-1/train/cat", "span-2/train/cat", "span-3/cat"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.jpg").touch()
    with pytest.raises(CompressorError, match="span-2' has split folders, but split 'eval' is missing"):
        check_images(given)


def test_a_class_folder_whose_name_is_no_text_is_refused(tmp_path):
    given = config(tmp_path)
    os.makedirs(os.fsencode(tmp_path) + b"/images/caf\xe9")
    with pytest.raises(CompressorError, match=r"class folder '.*/images/caf\\xe9': .* not UTF-8: rename it"):
        check_images(given)


def test_the_digits_are_known_whatever_is_left_of_them(tmp_path):
    (tmp_path / "out" / "data" / "0").mkdir(parents=True)
    counts = check_images(config(tmp_path, "data={source: digits, path: null}", f"output={tmp_path}/out")).counts
    assert counts
    assert sum(sum(by_class.values()) for by_class in counts.values()) == 1797


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


def classifier(folder, classes: int) -> str:
    """A model of one's own, in a file, as the configuration names it."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 3, strides=4, name="stem"),
            keras.layers.Conv2D(8, 3, name="middle"),
            keras.layers.Conv2D(8, 3, name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.save(folder / "own.keras")
    return f"model: {folder}/own.keras"


@pytest.fixture
def own(tmp_path):
    """A classifier of two classes."""
    return classifier(tmp_path, 2)


@pytest.fixture
def s3():
    """A store with a bucket for models."""
    server = S3Server("models")
    with server.named():
        yield server
    server.close()


def test_a_model_of_ones_own_is_looked_at(tmp_path, own):
    check_network(config(tmp_path, f"backbone={{{own}, classes: [a, b]}}"))
    check_network(config(tmp_path, f"backbone={{{own}}}", "search.connections=['stem->last']"))
    with pytest.raises(
        CompressorError, match=r"backbone.classes: the model's classes \(a, b\) are not the data's classes \(cat, dog\)"
    ):
        check_network(config(tmp_path, f"backbone={{{own}, classes: [a, b]}}"), ["cat", "dog"])
    for overrides, message in (
        (
            [f"backbone={{{own}, classes: [a, b, c]}}"],
            "backbone.classes: 3 class names are given, but the model's output",
        ),
        ([f"backbone={{{own}}}", "search.connections=published"], "no published connections"),
        ([f"backbone={{{own}}}", "search.connections=['stem->lats']"], "Did you mean 'last'"),
    ):
        wrong = config(tmp_path, *overrides)
        with pytest.raises(CompressorError, match=message):
            check_network(wrong)


@pytest.mark.slow
def test_a_network_that_does_not_convert_to_tflite_is_refused_and_one_in_half_precision_is_taken(tmp_path):
    import keras

    def saved(name: str, activation, dtype: str) -> str:
        images = keras.Input((32, 32, 3))
        x = keras.layers.Conv2D(4, 3, strides=4, dtype=dtype, name="stem")(images)
        x = keras.layers.Conv2D(8, 3, dtype=dtype)(keras.layers.Conv2D(8, 3, dtype=dtype)(x))
        x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(activation(x))
        keras.Model(images, keras.layers.Dense(2, activation="softmax")(x)).save(tmp_path / f"{name}.keras")
        return f"backbone={{model: {tmp_path}/{name}.keras}}"

    check_network(config(tmp_path, saved("half", keras.ops.tanh, "mixed_float16")))
    with pytest.raises(CompressorError, match=r"does not convert to TFLite in float32: .+ Replace the layer"):
        check_network(config(tmp_path, saved("odd", keras.ops.erfinv, "float32")))


def push(directory, version, *names):
    """A pushed model, as far as its classes go."""
    write_class_list(str(directory / str(version) / "assets.extra"), names)
    (directory / str(version) / "saved_model.pb").touch()


class TestClasses:
    """Of the pushed model and of the data, as Transform takes them."""

    @pytest.fixture
    def given(self, tmp_path):
        """A configuration of images of cats and dogs, whose models go to a folder."""
        images(tmp_path / "images", "cat", "dog")
        return lambda *overrides: config(tmp_path, f"output={tmp_path}/out", *overrides)

    @staticmethod
    def names(config, **options) -> list[str]:
        return check_classes(config, check_images(config), **options).names

    def test_without_a_pushed_model_they_are_the_datas(self, given):
        assert self.names(given()) == ["cat", "dog"]

    def test_pushed_classes_keep_their_places_and_new_ones_follow(self, given, tmp_path):
        push(tmp_path / "out" / "serving", 7, "eel", "dog")
        assert self.names(given()) == ["eel", "dog", "cat"]
        assert self.names(given("data.removed_classes=[eel]")) == ["dog", "cat"]
        found = check_classes(given(), check_images(given()))
        assert (found.gone, found.are_all) == (["eel"], True)

    def test_a_removed_class_with_images_is_refused_as_by_transform(self, given):
        with pytest.raises(CompressorError, match="data.removed_classes names 'cat', which still has 5 images"):
            self.names(given("data.removed_classes=[cat]"))

    @pytest.mark.parametrize("named", ["cat, dog, eel", "eel, dog, cat"])
    def test_a_model_of_ones_own_keeps_its_head_in_a_week_without_one_of_its_classes(self, given, tmp_path, named):
        week = given(f"backbone={{{classifier(tmp_path, 3)}, classes: [{named}]}}")
        with pytest.raises(CompressorError, match=r"are not the data's classes \(cat, dog\)"):
            check_network(week, self.names(week))
        push(tmp_path / "out" / "serving", 1, *named.split(", "))
        parameters = check_network(week, self.names(week)).parameters
        images(tmp_path / "images", "eel")
        assert check_network(week, self.names(week)).parameters == parameters

    def test_a_push_directory_in_a_store_is_looked_at_for_a_run_alone(self, given, tmp_path, s3):
        own = classifier(tmp_path, 3)
        remote = given("push.directory=s3://models/serving", f"backbone={{{own}, classes: [cat, dog, eel]}}")
        found = check_classes(remote, check_images(remote), stores=False)
        assert (found.names, found.are_all) == (["cat", "dog", "eel"], False)
        check_network(remote, found.names)
        assert self.names(remote) == ["cat", "dog"]
        for name, body in (("saved_model.pb", b""), ("assets.extra/classes.txt", b"eel\ncat\n")):
            s3.client.put_object(Bucket="models", Key=f"serving/3/{name}", Body=body)
        assert self.names(remote) == ["eel", "cat", "dog"]

    def test_an_endpoint_keeps_no_classes(self, given, tmp_path):
        push(tmp_path / "out" / "serving", 7, "eel", "dog")
        endpoint = "vertex={project: p, region: europe-west1, endpoint: {display_name: e, image: i, machine_type: m}}"
        assert self.names(given(endpoint)) == ["cat", "dog"]


def test_class_names_are_written_as_in_the_data(tmp_path, own):
    given = config(tmp_path, f"backbone={{{own}, classes: ['cafe\u0301', 'dog ']}}")
    assert given.backbone.classes == ["caf\u00e9", "dog"]


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Keras' cache of weights, without any."""
    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0"])
def test_imagenet_weights_are_asked_for_and_not_downloaded(tmp_path, monkeypatch, empty_cache, name):
    asked: list[str] = []
    monkeypatch.setattr(weights_download, "request_headers", asked.append)
    given = config(tmp_path, f"backbone.name={name}", "backbone.weights=imagenet", "backbone.alpha=1.0")
    network = check_network(given, download=False)
    (url,) = asked
    assert url.startswith("https://")
    assert url.endswith(".h5")
    assert network.weights.startswith("ImageNet's, which the run will download from ")
    assert not list(tmp_path.rglob("*.h5"))


@pytest.fixture
def no_host(monkeypatch, empty_cache):
    """Fails every request for weights, none of which is on disk; returns what Keras' download is replaced by."""
    from keras.src.utils import file_utils

    def unreachable(url, *_):
        raise URLError("Name or service not known")

    monkeypatch.setattr(weights_download, "request_headers", unreachable)
    monkeypatch.setattr(file_utils, "urlretrieve", unreachable)
    return unreachable


@pytest.mark.parametrize("download", [True, False])
def test_weights_that_cannot_be_downloaded_are_told_with_the_way_out(tmp_path, no_host, download):
    from keras.src.utils import file_utils

    given = config(tmp_path, "backbone.weights=imagenet")
    with pytest.raises(CompressorError, match=r"^backbone\.weights: .*not be downloaded: .*Name or serv"):
        check_network(given, download=download)
    assert file_utils.urlretrieve is no_host


@pytest.mark.parametrize("download", [True, False])
def test_a_further_backbone_without_weights_is_left_out(tmp_path, no_host, download):
    network = check_network(config(tmp_path, "search.backbones=MobileNet"), download=download)
    assert network.searched == 1
    assert "ImageNet weights of MobileNet (alpha 1.0, 32 x 32 pixels) could not" in network.left_out["MobileNet"]


@pytest.mark.slow
def test_weights_of_another_network_are_refused(tmp_path):
    BACKBONES["MobileNet"].build(input_size=32, weights=None).save_weights(tmp_path / "w.weights.h5")
    given = config(tmp_path, f"search.backbones=[{{name: EfficientNetB0, weights: {tmp_path}/w.weights.h5}}]")
    with pytest.raises(
        CompressorError, match=r"^search\.backbones\[0\]\.weights: .* does not belong to EfficientNetB0"
    ):
        check_network(given)


def test_an_install_without_tfx_is_told(monkeypatch):
    check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompressorError, match=r"auto-compressor\[pipelines\]"):
        check_installed()


def test_a_budget_of_a_family_that_no_network_meets_is_named(tmp_path):
    with pytest.raises(CompressorError, match=r"^search\.budgets\.tiny: no connection meets the budgets"):
        check_network(config(tmp_path, "search.budgets={small: {memory_kb: 400}, tiny: {memory_kb: 1}}"))
    check_network(config(tmp_path, "search.budgets={small: {memory_kb: 400}, tiny: {parameters: 300_000}}"))
