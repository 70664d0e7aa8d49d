from __future__ import annotations

import builtins
import io
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image
from s3_server import S3Server
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts

from components.artifacts.pushed_versions import newest_version, prune, publish, roll_back
from components.image_example_gen.component import ImageExampleGen
from components.image_example_gen.driver import NamesInputProcessor
from components.image_example_gen.executor import Executor
from components.storage import object_store
from compressor_lib.errors import CompressorError


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server("data")
    yield server
    server.close()


@pytest.fixture
def store(server) -> Iterator[S3Server]:
    """The server, empty, named by the environment."""
    with server.named():
        yield server
        server.clear("data")


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_file_round_trip(store, scheme):
    root = f"{scheme}://data/models"
    for name, content in (("1/a.txt", "é"), ("1/assets/b.txt", "b"), ("2/c.txt", "c")):
        with fileio.open(f"{root}/{name}", "w") as file:
            file.write(content)
    with fileio.open(f"{root}/1/d.bin", "wb") as file:
        file.write(b"\x00\xff")
    assert fileio.open(f"{root}/1/a.txt").read() == "é"
    assert fileio.open(f"{root}/1/d.bin", "rb").read() == b"\x00\xff"
    assert fileio.listdir(f"{root}/") == ["1", "2"]
    assert fileio.glob(f"{root}/*/*.txt") == [f"{root}/1/a.txt", f"{root}/2/c.txt"]
    assert list(fileio.walk(f"{root}/1")) == [
        (f"{root}/1", ["assets"], ["a.txt", "d.bin"]), (f"{root}/1/assets", [], ["b.txt"]),
    ]  # fmt: skip
    assert [fileio.isdir(f"{root}/{name}") for name in ("1", "1/a.txt", "3")] == [True, False, False]
    assert [fileio.exists(f"{root}/{name}") for name in ("1", "1/a.txt", "3")] == [True, True, False]
    told = store.client.head_object(Bucket="data", Key="models/1/d.bin")
    assert fileio.stat(f"{root}/1/d.bin") == (2, told["LastModified"].timestamp() * 1e9)


@pytest.mark.slow
def test_files_are_copied_renamed_and_removed(store):
    root = "minio://data"
    fileio.makedirs(f"{root}/a")
    with fileio.open(f"{root}/a/1", "w") as file:
        file.write("one")
    fileio.copy(f"{root}/a/1", f"{root}/b/1")
    with pytest.raises(OSError, match="'minio://data/b/1' already exists"):
        fileio.copy(f"{root}/a/1", f"{root}/b/1")
    fileio.rename(f"{root}/a/1", f"{root}/b/1", overwrite=True)
    fileio.rename(f"{root}/b/1", f"{root}/c/2")
    assert store.names("data") == ["c/2"]
    fileio.copy(f"{root}/c/2", f"{root}/c/3")
    fileio.remove(f"{root}/c/2")
    assert store.names("data") == ["c/3"]
    fileio.rmtree(f"{root}/c")
    assert store.names("data") == []


def test_concurrent_writes_are_visible(store):
    assert not fileio.isdir("s3://data/models")
    store.client.put_object(Bucket="data", Key="models/7/saved_model.pb", Body=b"x")
    assert newest_version("s3://data/models") == "7"


@pytest.mark.parametrize("do", [fileio.open, fileio.listdir, fileio.stat, fileio.rmtree])
def test_missing_file_raises_tfx_error(store, do):
    with pytest.raises(fileio.NotFoundError, match="'s3://data/none' does not exist"):
        do("s3://data/none")


def test_files_are_not_appended_to(store):
    with pytest.raises(ValueError, match="mode 'a'"):
        fileio.open("s3://data/log", "a")


def write(path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write("x")


class TestRefusals:
    """Each is one message without credentials in it."""

    def told(self, do, path: str = "s3://data/images") -> str:
        with pytest.raises(CompressorError) as error:
            do(path)
        assert "of-the-test" not in str(error.value)
        return str(error.value)

    @pytest.mark.parametrize("do", [fileio.open, fileio.listdir, write, fileio.isdir])
    def test_no_permission(self, store, do):
        with store.refusing():
            assert "refuses 's3://data/images': check that the credentials" in self.told(do)

    def test_no_credentials(self, store, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        assert "no credentials for 's3://data/images': set AWS_ACCESS_KEY_ID" in self.told(fileio.open)

    def test_no_store(self, store, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where nothing listens
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert "cannot be reached: check AWS_ENDPOINT_URL" in self.told(fileio.listdir)

    def test_no_library(self, store, monkeypatch):
        real = builtins.__import__

        def without(name, *given, **options):
            if name == "s3fs":
                raise ModuleNotFoundError(name)
            return real(name, *given, **options)

        monkeypatch.setattr(builtins, "__import__", without)
        assert "requires s3fs: pip install 'auto-compressor[s3]'" in self.told(fileio.exists)


class TestHost:
    @pytest.mark.parametrize("do", [fileio.open, fileio.listdir, write, fileio.isdir])
    def test_minio_has_none_by_default(self, store, monkeypatch, do):
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        with pytest.raises(
            CompressorError, match="'minio://data/x' is in a store with an unknown host: .*AWS_ENDPOINT_URL"
        ):
            do("minio://data/x")

    def test_s3_is_amazons_by_default(self, store, monkeypatch):
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert object_store._located("s3://data/x")[0].endpoint_url is None

    @pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
    def test_the_environment_may_name_it(self, store, monkeypatch, name):
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv(name, store.environment["AWS_ENDPOINT_URL"])
        assert not fileio.isdir("minio://data/x")


def examples_in(artifact: standard_artifacts.Examples, split: str) -> list[tf.train.Example]:
    files = tf.io.gfile.glob(f"{artifact.uri}/Split-{split}/*")
    return [
        tf.train.Example.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(files, compression_type="GZIP")
    ]


@pytest.mark.slow
def test_images_are_read_by_beams_workers(store, tmp_path):
    names = [f"span-1/{label}/{number}.png" for label in ("cat", "dog") for number in range(3)]
    for shade, name in enumerate(names):
        image = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(image, "PNG")
        store.client.put_object(Bucket="data", Key=f"images/{name}", Body=image.getvalue())
    component = ImageExampleGen(
        input_base="s3://data/images", splits={"train": 1, "eval": 1, "test": 1}, span_pattern="span-1"
    )
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path / "examples")
    workers = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    context = Executor.Context(beam_pipeline_args=workers, tmp_dir=str(tmp_path / "tmp"), unique_id="1")
    Executor(context).Do({}, {"examples": [artifact]}, component.exec_properties)
    found = [one for split in ("train", "eval", "test") for one in examples_in(artifact, split)]
    assert sorted(one.features.feature["filename"].bytes_list.value[0].decode() for one in found) == names


def test_the_driver_sees_spans_and_new_images(store):
    assert newest_version("s3://data/images") == ""
    for number in (1, 2):
        store.client.put_object(Bucket="data", Key=f"images/span-{number}/cat/1.png", Body=b"x")
    split = example_gen_pb2.Input.Split(name="images", pattern="span-{SPAN}/*/*")
    processor = NamesInputProcessor("s3://data/images", [split], None)
    assert processor.resolve_span_and_version() == (2, None)
    before = processor.get_input_fingerprint(2, None)
    assert processor.get_input_fingerprint(2, None) == before
    store.client.put_object(Bucket="data", Key="images/span-2/cat/2.png", Body=b"x")
    assert processor.get_input_fingerprint(2, None) != before


def test_tfrecords_are_read_by_beam_itself(store, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "part-0")) as writer:
        writer.write(b"one")
        writer.write(b"two")
    store.client.upload_file(str(tmp_path / "part-0"), "data", "records/part-0")
    with beam.Pipeline() as pipeline:
        assert_that(pipeline | beam.io.ReadFromTFRecord("s3://data/records/*"), equal_to([b"one", b"two"]))


def test_models_are_pushed(store, tmp_path):
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "model" / "variables" / "variables.index").write_bytes(b"weights")
    first, second = (publish(str(tmp_path / "model"), "minio://data/serving") for _ in range(2))
    assert newest_version("minio://data/serving") == str(second)
    assert roll_back("minio://data/serving") == (second, first)
    assert prune("minio://data/serving", keep=1) == []
    assert store.names("data") == [
        f"serving/{folder}/{name}"
        for folder in (f".withdrawn-{second}", first)
        for name in ("saved_model.pb", "variables/variables.index")
    ]
