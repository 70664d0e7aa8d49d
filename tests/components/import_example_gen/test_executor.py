from __future__ import annotations

import collections
import gzip
import json
import os
import pathlib

import pytest
import tensorflow as tf
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts

from components.import_example_gen import ImportExampleGen
from components.import_example_gen.executor import Executor
from components.import_example_gen.records import parse_example
from components.import_example_gen.stratified import cut, digest_of
from components.left_out import read_left_out
from components.storage.spans import rolling_range
from compressor_lib.errors import CompressorError

pytestmark = pytest.mark.slow

SHARES = {"train": 8, "eval": 1, "test": 1}


def example(label: str | bytes | int, name: str, feature: str = "label") -> tf.train.Example:
    if isinstance(label, int):
        value = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    else:
        label = label if isinstance(label, bytes) else label.encode()
        value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
    name_value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()]))
    return tf.train.Example(features=tf.train.Features(feature={feature: value, "name": name_value}))


def write(folder: pathlib.Path, counts: dict[str | bytes | int, int], feature: str = "label") -> pathlib.Path:
    """So many Examples of each class, class by class, in two files."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = [
        example(label, f"{folder.name}-{label!r}-{number}", feature)
        for label, count in counts.items()
        for number in range(count)
    ]
    for number in (0, 1):
        with tf.io.TFRecordWriter(str(folder / f"part-{number}.tfrecord")) as writer:
            for one in examples[number::2]:
                writer.write(one.SerializeToString())
    return folder


def component(data: pathlib.Path, pattern: str = "*", window: int = 1, **options) -> ImportExampleGen:
    return ImportExampleGen(
        input_base=str(data),
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="examples", pattern=pattern)]),
        output_config=example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(
                splits=[
                    example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=share) for name, share in SHARES.items()
                ]
            )
        ),
        range_config=rolling_range(window),
        **options,
    )


def properties(example_gen: ImportExampleGen) -> dict:
    pipeline = data_types.PipelineInfo("", "")
    info = data_types.ComponentInfo("", "", pipeline)
    return example_gen.DRIVER_CLASS(None).resolve_exec_properties(dict(example_gen.exec_properties), pipeline, info)


def run(example_gen: ImportExampleGen, tmp_path: pathlib.Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    Executor().Do({}, {"examples": [examples]}, properties(example_gen))
    return examples


def read(examples: standard_artifacts.Examples, feature: str = "label") -> dict[str, dict[str, str]]:
    """The class of every Example, by name, by split."""
    found = {}
    for split in SHARES:
        files = [str(file) for file in pathlib.Path(examples.uri).glob(f"Split-{split}/*")]
        of_split = found[split] = {}
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            label, name = (features[key].bytes_list.value[0].decode() for key in (feature, "name"))
            of_split[name] = label
    return found


def counts(found: dict[str, dict[str, str]]) -> dict[str, dict[str, int]]:
    return {split: dict(collections.Counter(of_split.values())) for split, of_split in found.items()}


class TestSpans:
    @pytest.fixture
    def data(self, tmp_path) -> pathlib.Path:
        for span in (1, 2, 10):
            write(tmp_path / "data" / f"span-{span}", {"a": 5, "b": 5})
        return tmp_path / "data"

    def spans(self, found: dict[str, dict[str, str]]) -> set[str]:
        return {name.rpartition("-")[0].rpartition("-")[0] for of_split in found.values() for name in of_split}

    def test_the_newest_span_is_read(self, data, tmp_path):
        assert self.spans(read(run(component(data, "span-{SPAN}/*"), tmp_path))) == {"span-10"}

    def test_a_window_is_read_into_one_artifact(self, data, tmp_path):
        found = read(run(component(data, "span-{SPAN}/*", 2), tmp_path))
        assert self.spans(found) == {"span-2", "span-10"}
        assert sum(map(len, found.values())) == 20

    def test_a_record_stays_in_its_split_while_the_window_moves(self, data, tmp_path):
        before = read(run(component(data, "span-{SPAN}/*", 2), tmp_path / "one"))
        write(data / "span-11", {"a": 9, "b": 4})
        after = read(run(component(data, "span-{SPAN}/*", 2), tmp_path / "two"))
        assert self.spans(after) == {"span-10", "span-11"}
        for split, of_split in before.items():
            stay = {name for name in of_split if name.startswith("span-10")}
            assert stay
            assert stay == {name for name in after[split] if name.startswith("span-10")}

    def test_without_a_span_it_is_told(self, tmp_path):
        (tmp_path / "data").mkdir()
        with pytest.raises(CompressorError, match="cannot find the newest span"):
            properties(component(tmp_path / "data", "span-{SPAN}/*"))


class TestLiteralPaths:
    @pytest.mark.parametrize("name", ["records [v2]", "what?", "x*|{SPAN}"])
    @pytest.mark.parametrize("span", ["", "span [{SPAN}]"])
    def test_records_that_arrive_are_seen_and_read(self, name, span, tmp_path):
        folder = write(tmp_path / name / span.replace("{SPAN}", "3"), {"a": 4, "b": 4})
        example_gen = component(tmp_path / name, f"{span}/*".lstrip("/"))
        before = properties(example_gen)["input_fingerprint"]
        assert properties(example_gen)["input_fingerprint"] == before
        with tf.io.TFRecordWriter(str(folder / "more.tfrecord")) as writer:
            writer.write(example("a", "new").SerializeToString())
        assert properties(example_gen)["input_fingerprint"] != before
        assert sum(map(len, read(run(example_gen, tmp_path)).values())) == 9

    @pytest.mark.parametrize("name", [".DS_Store", "_SUCCESS", "Thumbs.db", "dataset_info.json", "label.labels.txt"])
    def test_what_holds_no_records_is_neither_read_nor_in_the_fingerprint(self, name, tmp_path):
        data = write(tmp_path / "data", {"a": 4, "b": 4})
        before = properties(component(data))["input_fingerprint"]
        (data / name).write_text("no records")
        assert properties(component(data))["input_fingerprint"] == before
        examples = run(component(data), tmp_path)
        assert sum(map(len, read(examples).values())) == 8
        assert read_left_out(examples).others == ({} if name.startswith(".") else {
            "_SUCCESS": {"without suffix": 1}, "Thumbs.db": {".db": 1}, "dataset_info.json": {".json": 1},
            "label.labels.txt": {".txt": 1},
        }[name])  # fmt: skip

    def test_a_file_whose_name_is_no_text_is_refused_by_name(self, tmp_path):
        data = write(tmp_path / "data", {"a": 4, "b": 4})
        os.rename(data / "part-0.tfrecord", os.fsencode(data) + b"/caf\xe9.tfrecord")
        with pytest.raises(CompressorError, match=r"data/caf\\xe9\.tfrecord' has a name that is not UTF-8: rename it"):
            run(component(data), tmp_path)

    def test_zipped_records_are_read(self, tmp_path):
        data = write(tmp_path / "data", {"a": 4, "b": 4})
        for file in data.iterdir():
            file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        assert sum(map(len, read(run(component(data), tmp_path)).values())) == 8

    def test_a_folder_without_records_is_told(self, tmp_path):
        (tmp_path / "data" / "sub").mkdir(parents=True)
        with pytest.raises(CompressorError, match="holds no TFRecord files"):
            run(component(tmp_path / "data"), tmp_path)

    @pytest.mark.parametrize("content", [b"no records", b"\0" * 40])
    def test_what_holds_something_else_is_named(self, content, tmp_path):
        data = write(tmp_path / "data", {"a": 4, "b": 4})
        (data / "readme").write_bytes(content)
        with pytest.raises(CompressorError, match=r"data/readme' is damaged or is not a TFRecord file"):
            run(component(data), tmp_path)


class TestStratified:
    def test_each_class_has_its_share_of_every_split(self, tmp_path):
        data = write(tmp_path / "data", {"often": 100, "seldom": 10, "rare": 3})
        examples = run(component(data), tmp_path)
        assert counts(read(examples)) == {
            "train": {"often": 80, "seldom": 8, "rare": 1},
            "eval": {"often": 10, "seldom": 1, "rare": 1},
            "test": {"often": 10, "seldom": 1, "rare": 1},
        }
        assert json.loads(examples.split_names) == ["train", "eval", "test"]
        assert examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"

    def test_the_split_does_not_depend_on_the_files(self, tmp_path):
        data = write(tmp_path / "data", {"a": 12, "b": 12})
        before = read(run(component(data), tmp_path / "one"))
        (data / "part-0.tfrecord").rename(data / "part-9.tfrecord")
        assert read(run(component(data), tmp_path / "two")) == before

    @pytest.mark.parametrize("rare", [1, 2])
    def test_classes_too_small_for_the_splits_are_named_with_their_counts(self, rare, tmp_path):
        data = write(tmp_path / "data", {"cat": 20, "lynx": rare, "puma": rare})
        told = (
            rf"2 of 3 classes have too few .* class 'lynx' has {rare} \(train \d, eval \d, test \d\), 'puma' has {rare}"
        )
        with pytest.raises(CompressorError, match=told):
            run(component(data), tmp_path)
        assert not list((tmp_path / "examples").glob("Split-*"))

    def test_a_class_of_copies_alone_is_named(self, tmp_path):
        data = write(tmp_path / "data", {"cat": 20})
        with tf.io.TFRecordWriter(str(data / "copies.tfrecord")) as writer:
            for _ in range(9):
                writer.write(example("lynx", "the same").SerializeToString())
        with pytest.raises(
            CompressorError, match=r"not counting copies: class 'lynx' has 9 \(train 9, eval 0, test 0\)"
        ):
            run(component(data), tmp_path)

    def test_a_single_class_is_refused(self, tmp_path):
        with pytest.raises(CompressorError, match="have only one class, 'cat'"):
            run(component(write(tmp_path / "data", {"cat": 20})), tmp_path)

    def test_cuts_follow_the_shares(self):
        digests = [digest_of(f"{number}".encode()) for number in range(100)]
        cuts = cut(digests, SHARES)
        assert collections.Counter(map(cuts.split_of, digests)) == {"train": 80, "eval": 10, "test": 10}


class TestLabels:
    def test_whitespace_goes_and_what_is_the_same_then_is_one_class(self, tmp_path):
        data = write(tmp_path / "data", {"cat\r": 4, "cat": 4, "cafe\u0301": 4, "caf\u00e9": 4, " dog\n": 4})
        found = read(run(component(data), tmp_path))
        for of_split in found.values():
            assert set(of_split.values()) == {"cat", "dog", "caf\u00e9"}

    def test_another_feature_may_have_them(self, tmp_path):
        data = write(tmp_path / "data", {"cat\r": 4, "dog": 4}, feature="kind")
        found = read(run(component(data, label="kind"), tmp_path), "kind")
        assert set(found["test"].values()) == {"cat", "dog"}

    def test_they_may_be_numbers(self, tmp_path):
        found = read(run(component(write(tmp_path / "data", {0: 4, 7: 4})), tmp_path))
        assert set(found["test"].values()) == {"0", "7"}

    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ("", "the class name '' is empty"), ("\r", r"the class name '\\r' is empty"),
            ("a\rb", r"the class name 'a\\rb' holds control characters"), (b"caf\xe9", "not UTF-8"),
        ],
    )  # fmt: skip
    def test_what_names_no_class_is_refused_with_its_place(self, label, message, tmp_path):
        data = write(tmp_path / "data", {"cat": 4, "dog": 4, label: 1})
        with pytest.raises(Exception, match=rf"record 5 of '.*part-0\.tfrecord': .*{message}"):
            run(component(data), tmp_path)

    def test_a_feature_that_is_missing_is_told_with_those_there_are(self, tmp_path):
        record = example("cat", "one").SerializeToString()
        with pytest.raises(
            CompressorError, match=r"has no feature 'class'.* its features: label, name\. Set data\.label_fe"
        ):
            parse_example(record, "class", "record 1")

    def test_what_is_no_example_is_told(self):
        with pytest.raises(CompressorError, match=r"record 1 is not a tf\.train\.Example"):
            parse_example(b"\xff\xff\xff", "label", "record 1")
