from __future__ import annotations

import pathlib

import pytest
import tensorflow as tf
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts

from components.import_example_gen import ImportExampleGen
from components.import_example_gen.executor import Executor
from components.spans import rolling_range
from compressor_lib.errors import CompressorError

SPLIT = example_gen_pb2.SplitConfig.Split


def write(folder: pathlib.Path, names: list[str]) -> None:
    """One Example a name, in two files."""
    folder.mkdir(parents=True)
    for number in (0, 1):
        with tf.io.TFRecordWriter(str(folder / f"part-{number}.tfrecord")) as writer:
            for name in names[number::2]:
                value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()]))
                writer.write(tf.train.Example(features=tf.train.Features(feature={"label": value})).SerializeToString())


@pytest.fixture
def data(tmp_path) -> pathlib.Path:
    for span in (1, 2, 10):
        write(tmp_path / "data" / f"span-{span}", [f"{span}-{number}" for number in range(6)])
    return tmp_path / "data"


def names(data: pathlib.Path, pattern: str, window: int | None) -> list[str]:
    """The names of all Examples that the component makes."""
    example_gen = ImportExampleGen(
        input_base=str(data),
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="examples", pattern=pattern)]),
        output_config=example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(
                splits=[SPLIT(name="train", hash_buckets=2), SPLIT(name="eval", hash_buckets=1)]
            )
        ),
        range_config=rolling_range(window),
    )
    pipeline = data_types.PipelineInfo("", "")
    component = data_types.ComponentInfo("", "", pipeline)
    given = example_gen.DRIVER_CLASS(None).resolve_exec_properties(
        dict(example_gen.exec_properties), pipeline, component
    )
    examples = standard_artifacts.Examples()
    examples.uri = str(data.parent / "examples")
    Executor().Do({}, {"examples": [examples]}, given)
    files = [str(file) for file in pathlib.Path(examples.uri).glob("Split-*/*")]
    records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    examples_read = [tf.train.Example.FromString(record) for record in records]
    return sorted(one.features.feature["label"].bytes_list.value[0].decode() for one in examples_read)


def test_the_newest_span_is_read(data):
    assert names(data, "span-{SPAN}/*", None) == sorted(f"10-{number}" for number in range(6))


def test_a_window_is_read_into_one_artifact(data):
    assert names(data, "span-{SPAN}/*", 2) == sorted(f"{span}-{number}" for span in (2, 10) for number in range(6))


def test_files_need_no_spans(data):
    assert len(names(data / "span-1", "*", None)) == 6


def test_without_a_span_it_is_told(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(CompressorError, match="cannot find the newest span"):
        names(tmp_path / "data", "span-{SPAN}/*", None)
