"""Folders of tiny images, and tiny artifacts."""

import io
import json
import pathlib
import types
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.artifacts import served_classes
from compressor_lib.cuts.surgery import without_head
from compressor_lib.deployment.export import export_classifier
from compressor_lib.deployment.images import encode_image
from compressor_lib.networks.heads import attach_head

if TYPE_CHECKING:
    from vertex_api import VertexApi


@pytest.fixture
def vertex_api(monkeypatch) -> Iterator["VertexApi"]:
    """Stands for Vertex AI, project "mine" in region "here"."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform_v1  # takes seconds
    from vertex_api import VertexApi

    api = VertexApi("mine", "here")
    given = {
        "transport": "rest", "credentials": AnonymousCredentials(), "client_options": {"api_endpoint": api.url},
    }  # fmt: skip
    clients = aiplatform_v1.EndpointServiceClient(**given), aiplatform_v1.ModelServiceClient(**given)
    monkeypatch.setattr(served_classes, "_clients", lambda endpoint: clients)
    yield api
    api.close()


def image_bytes(kind: str = "JPEG", mode: str = "RGB", seed: int = 0) -> bytes:
    """Encodes an 8 x 6 image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture(name="image_bytes")
def image_bytes_fixture():
    return image_bytes


@pytest.fixture
def make_folder(tmp_path):
    """Makes a folder of JPEGs: ``make_folder({"cat": 3, "dog": 4})``, one count a class folder."""

    def make(counts: dict[str, int], root: str = "images") -> pathlib.Path:
        base = tmp_path / root
        for folder, count in counts.items():
            (base / folder).mkdir(parents=True)
            for number in range(count):
                content = image_bytes(seed=zlib.crc32(f"{folder}/{number}".encode()))
                (base / folder / f"{number:03}.jpg").write_bytes(content)
        return base

    return make


@pytest.fixture(scope="session")
def make_classifier(small_backbone):
    """Makes a tiny classifier of three classes: ``make_classifier(seed=1)``."""

    def make(seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return attach_head(small_backbone(), 3, dropout=0.1, name="reference")

    return make


@pytest.fixture(scope="session")
def reference(make_classifier, tmp_path_factory):
    """An exported classifier: itself, its ``base`` without head, and its artifact ``model``."""
    classifier = make_classifier(seed=0)
    model = standard_artifacts.Model()
    model.uri = str(tmp_path_factory.mktemp("reference") / "model")
    export_classifier(classifier, ["a", "b", "c"], path_utils.serving_model_dir(model.uri))
    return types.SimpleNamespace(classifier=classifier, base=without_head(classifier, name="MobileNetV2"), model=model)


@pytest.fixture(scope="session")
def images() -> dict[str, np.ndarray]:
    """Images of noise by split, uint8 ``[N, 32, 32, 3]``."""
    random = np.random.default_rng(0)
    return {
        split: random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        for split, count in (("train", 24), ("eval", 12))
    }


@pytest.fixture(scope="session")
def make_examples(tmp_path_factory):
    """Makes transformed Examples of every split's shards; unless they are given, labels go round three classes."""

    def make(
        shards_by_split: dict[str, list[np.ndarray]], label: Callable[[np.ndarray], int] | None = None
    ) -> standard_artifacts.Examples:
        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path_factory.mktemp("examples"))
        examples.split_names = json.dumps(list(shards_by_split))
        for split, shards in shards_by_split.items():
            folder = pathlib.Path(examples.uri) / f"Split-{split}"
            folder.mkdir()
            for number, shard in enumerate(shards):
                path = folder / f"transformed_examples-{number:05}-of-{len(shards):05}.gz"
                with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                    for index, image in enumerate(shard):
                        writer.write(_transformed(image, label=label(image) if label else index % 3))
        return examples

    return make


def _transformed(image: np.ndarray, label: int) -> bytes:
    encoded = encode_image(image).numpy()
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
