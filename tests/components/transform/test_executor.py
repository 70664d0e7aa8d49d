"""Transform: indices of classes by a list whose order does not depend on the data."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx import types
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts.class_counts import statistics_options
from components.artifacts.class_list import read_class_list, write_class_list
from components.transform import Transform
from components.transform.executor import Executor
from compressor_lib.deployment.images import encode_image
from compressor_lib.errors import CompressorError

pytestmark = pytest.mark.slow

IMAGE = encode_image(tf.zeros((4, 4, 3), tf.uint8)).numpy()


@pytest.fixture
def transform(tmp_path):
    """Transforms images of classes, by their counts in each split; returns the class list and each split's indices."""

    def artifact(kind: type[types.Artifact], name: str, splits: dict | None = None) -> types.Artifact:
        made = kind()
        made.uri = str(tmp_path / name)
        Path(made.uri).mkdir(exist_ok=True)
        if splits is not None:
            made.split_names = artifact_utils.encode_split_names(list(splits))
        return made

    def transform(
        splits: dict[str, dict[str, int]], known: list[str] | None = None, removed: list[str] | None = None
    ) -> tuple[list[str], dict[str, list[int]]]:
        examples = artifact(standard_artifacts.Examples, "examples", splits)
        statistics = artifact(standard_artifacts.ExampleStatistics, "statistics", splits)
        schema = artifact(standard_artifacts.Schema, "schema")
        for split, counts in splits.items():
            names = [name for name, count in counts.items() for _ in range(count)]
            frame = pandas.DataFrame({"image": "x", "label": names})
            found = tfdv.generate_statistics_from_dataframe(frame, statistics_options())
            for made in (examples, statistics):
                Path(made.uri, f"Split-{split}").mkdir()
            Path(statistics.uri, f"Split-{split}", "FeatureStats.pb").write_bytes(found.SerializeToString())
            tfdv.write_schema_text(tfdv.infer_schema(found), f"{schema.uri}/schema.pbtxt")
            with tf.io.TFRecordWriter(f"{examples.uri}/Split-{split}/data.gz", "GZIP") as writer:
                for name in names:
                    example = tf.train.Example()
                    example.features.feature["image"].bytes_list.value.append(IMAGE)
                    example.features.feature["label"].bytes_list.value.append(name.encode())
                    writer.write(example.SerializeToString())
        inputs = {"examples": examples, "schema": schema, "statistics": statistics}
        if known is not None:
            inputs["previous_classes"] = artifact(standard_artifacts.Schema, "classes")
            write_class_list(inputs["previous_classes"].uri, known)
        node = Transform(
            **{name: types.Channel(type=type(made)) for name, made in inputs.items()},
            preprocessing_fn="pipelines.modules.preprocessing_fn",
            label="label",
            removed_classes=removed or [],
            custom_config={"sizes": [8, 5], "image": "image", "label": "label"},
        )
        outputs = {
            "transform_graph": artifact(standard_artifacts.TransformGraph, "graph"),
            "transformed_examples": artifact(standard_artifacts.Examples, "transformed"),
        }
        Executor().Do(
            {name: [made] for name, made in inputs.items()},
            {name: [made] for name, made in outputs.items()},
            node.exec_properties,
        )
        indices = {}
        for split in splits:
            files = [str(path) for path in Path(outputs["transformed_examples"].uri, f"Split-{split}").iterdir()]
            indices[split] = sorted(
                tf.train.Example.FromString(record.numpy()).features.feature["label"].int64_list.value[0]
                for record in tf.data.TFRecordDataset(files, "GZIP")
            )
        return read_class_list(outputs["transform_graph"].uri), indices

    return transform


def test_the_commonest_class_is_not_the_first(transform):
    names, indices = transform({"train": {"fist": 3, "finger": 2}, "eval": {"fist": 1}, "test": {"palm": 1}})
    assert names == ["finger", "fist", "palm"]
    assert indices == {"train": [0, 0, 1, 1, 1], "eval": [1], "test": [2]}


def test_known_classes_keep_their_indices_and_new_ones_follow(transform):
    known = ["fist", "gone", "finger"]
    names, indices = transform({"train": {"aardvark": 1, "finger": 2, "fist": 1}}, known)
    assert names == [*known, "aardvark"]
    assert indices == {"train": [0, 2, 2, 3]}


def test_a_class_is_removed_on_request(transform):
    names, indices = transform({"train": {"finger": 2, "fist": 1}}, ["fist", "gone", "finger"], ["gone"])
    assert (names, indices) == (["fist", "finger"], {"train": [0, 1, 1]})


def test_a_class_with_images_is_not_removed(transform):
    with pytest.raises(CompressorError, match="names 'fist', which still has 1 images"):
        transform({"train": {"finger": 2, "fist": 1}}, ["fist", "finger"], ["fist"])


def test_parameters_are_passed_to_the_preprocessing_fn(transform):
    channels = {"examples": "Examples", "schema": "Schema", "statistics": "ExampleStatistics"}
    given = {name: types.Channel(type=getattr(standard_artifacts, kind)) for name, kind in channels.items()}
    node = Transform(**given, preprocessing_fn="a.b", label="kind", custom_config={"sizes": [8, 5]})
    assert set(node.inputs) == set(channels)
    assert json.loads(node.exec_properties["custom_config"]) == {"sizes": [8, 5]}
    assert all(isinstance(value, int | str) for value in node.exec_properties.values())
