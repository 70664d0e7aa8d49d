import collections
import hashlib
import json
import os
import pathlib
import resource
import shutil
import struct
import zlib

import pytest
import tensorflow as tf
from memory import peak
from tfx.components.example_gen import driver as stock_driver
from tfx.components.example_gen import utils
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.image_example_gen import ImageExampleGen
from components.image_example_gen.driver import Driver
from components.image_example_gen.executor import DUPLICATES_FILE, SKIPPED_FILE, Executor
from components.node_options import ImageOptions
from components.options import as_parameter
from components.storage import listing
from components.storage.stratified_split import assign_splits
from compressor_lib.errors import CompressorError

pytestmark = pytest.mark.slow

SHARES = {"train": 8, "eval": 1, "test": 1}
PRE_SPLIT = {f"{split}/{label}": 2 for split in ("train", "validation", "test") for label in "ab"}


def properties(example_gen: ImageExampleGen, driver: type = Driver) -> dict:
    """The execution properties that the driver hands to the executor."""
    given = dict(example_gen.exec_properties)
    pipeline = data_types.PipelineInfo("", "")
    component = data_types.ComponentInfo("", "", pipeline)
    return driver(None).resolve_exec_properties(given, pipeline, component)


def input_config(example_gen: ImageExampleGen) -> example_gen_pb2.Input:
    config = example_gen_pb2.Input()
    proto_utils.json_to_proto(example_gen.exec_properties["input_config"], config)
    return config


def run(example_gen: ImageExampleGen, tmp_path: pathlib.Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    shutil.rmtree(examples.uri, ignore_errors=True)
    Executor().Do({}, {"examples": [examples]}, properties(example_gen))
    return examples


def read(examples: standard_artifacts.Examples) -> dict[str, dict[str, tuple[str, bytes]]]:
    """Label and encoded image by file name by split."""
    found: dict[str, dict[str, tuple[str, bytes]]] = collections.defaultdict(dict)
    for file in pathlib.Path(examples.uri).glob("Split-*/*"):
        split = found[file.parent.name.removeprefix("Split-")]
        for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            assert set(feature) == {"image", "label", "filename"}
            label, name, image = (feature[key].bytes_list.value[0] for key in ("label", "filename", "image"))
            assert name.decode() not in split
            split[name.decode()] = label.decode(), image
    return dict(found)


class TestDeal:
    NAMES = tuple(f"cat/{number}.jpg" for number in range(100))

    @pytest.mark.parametrize(
        ("count", "expected"),
        [(100, (80, 10, 10)), (10, (8, 1, 1)), (19, (15, 2, 2)), (4, (2, 1, 1)), (3, (1, 1, 1))],
    )
    def test_counts_follow_the_shares_and_no_split_is_empty(self, count, expected):
        counts = collections.Counter(assign_splits(self.NAMES[:count], SHARES).values())
        assert tuple(counts[split] for split in SHARES) == expected

    def test_does_not_depend_on_the_order_of_the_names(self):
        assert assign_splits(self.NAMES[::-1], SHARES) == assign_splits(self.NAMES, SHARES)

    def test_deals_in_the_order_of_the_hash(self):
        first = min(self.NAMES, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        assert assign_splits(self.NAMES, {"one": 1, "rest": 99})[first] == "one"


class TestFlatFolder:
    def test_every_class_is_split_by_the_shares(self, make_folder, tmp_path):
        base = make_folder({"cat": 20, "dog": 10, "eel": 3})

        splits = read(run(ImageExampleGen(str(base)), tmp_path))

        counts = {split: collections.Counter(label for label, _ in images.values()) for split, images in splits.items()}
        assert counts == {
            "train": {"cat": 16, "dog": 8, "eel": 1},
            "eval": {"cat": 2, "dog": 1, "eel": 1},
            "test": {"cat": 2, "dog": 1, "eel": 1},
        }
        for label in ("cat", "dog", "eel"):
            names = [f"{label}/{path.name}" for path in (base / label).iterdir()]
            assert {
                name: split
                for split, images in splits.items()
                for name, (its_label, _) in images.items()
                if its_label == label
            } == assign_splits(names, SHARES)

    def test_images_pass_unchanged_and_the_artifact_says_what_it_is(self, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 3})

        examples = run(ImageExampleGen(str(base)), tmp_path)

        for images in read(examples).values():
            for name, (label, image) in images.items():
                assert name.split("/")[0] == label
                assert image == (base / name).read_bytes()
        assert json.loads(examples.split_names) == ["train", "eval", "test"]
        assert examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
        assert examples.get_int_custom_property("skipped") == 0
        assert examples.get_string_custom_property("skipped_files") == "[]"

    def test_what_is_no_image_is_left_out(self, make_folder, tmp_path, image_bytes):
        base = make_folder({"cat": 3, "dog": 3})
        (base / "cat" / "Thumbs.db").write_bytes(b"x")
        (base / "cat" / ".DS_Store").write_bytes(b"x")
        (base / "cat" / "._000.jpg").write_bytes(b"x")
        (base / "cat" / "LOUD.JPEG").write_bytes(image_bytes())
        (base / "cat" / "nested").mkdir()
        (base / "cat" / "nested" / "deep.jpg").write_bytes(image_bytes())
        (base / ".hidden").mkdir()
        (base / "readme.txt").write_text("x")

        examples = run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=0.2)), tmp_path)

        names = {name for images in read(examples).values() for name in images}
        assert {name for name in names if name.startswith("cat")} == {
            "cat/000.jpg", "cat/001.jpg", "cat/002.jpg", "cat/LOUD.JPEG"
        }  # fmt: skip
        assert len(names) == 7
        assert examples.get_string_custom_property("skipped_files") == '["cat/nested/deep.jpg"]'
        assert json.loads(examples.get_string_custom_property("left_out")) == {
            "images": {".jpg in nested folders": 1},
            "others": {".db": 1, ".txt": 1},
        }

    def test_other_splits(self, make_folder, tmp_path):
        base = make_folder({"cat": 4, "dog": 4})
        splits = read(run(ImageExampleGen(str(base), splits={"a": 1, "b": 1}), tmp_path))
        assert {name: len(images) for name, images in splits.items()} == {"a": 4, "b": 4}


class TestPreSplitFolder:
    @pytest.mark.parametrize("name", ["eval", "val", "Validation"])
    def test_eval_has_other_names(self, name, make_folder, tmp_path):
        base = make_folder(PRE_SPLIT)
        (base / "validation").rename(base / name)
        assert {file.split("/")[0] for file in read(run(ImageExampleGen(str(base)), tmp_path))["eval"]} == {name}

    def test_keeps_its_splits(self, make_folder, tmp_path):
        base = make_folder({**PRE_SPLIT, "notes/old": 0})

        splits = read(run(ImageExampleGen(str(base)), tmp_path))

        for split, folder in {"train": "train", "eval": "validation", "test": "test"}.items():
            assert set(splits[split]) == {f"{folder}/{label}/00{number}.jpg" for label in "ab" for number in (0, 1)}
            assert {label for label, _ in splits[split].values()} == {"a", "b"}

    def test_a_class_may_be_named_like_a_split(self, make_folder, tmp_path):
        base = make_folder({"train": 3, "bus": 3})
        splits = read(run(ImageExampleGen(str(base)), tmp_path))
        assert {label for label, _ in splits["test"].values()} == {"train", "bus"}


class TestSpans:
    def test_the_newest_is_taken(self, make_folder, tmp_path):
        for span in (2, 10, 9):
            base = make_folder({f"span-{span}/{label}": 3 for label in "ab"})
        example_gen = ImageExampleGen(str(base), span_pattern="span-{SPAN}")

        splits = list(input_config(example_gen).splits)
        _, span, version = utils.calculate_splits_fingerprint_span_and_version(str(base), splits)
        names = set(read(run(example_gen, tmp_path))["train"])

        assert (span, version) == (10, None)
        assert names
        assert all(name.startswith("span-10/") for name in names)

    def test_a_span_that_arrives_later_is_found(self, make_folder, tmp_path):
        base = make_folder({f"span-1/{name}": count for name, count in PRE_SPLIT.items()})
        example_gen = ImageExampleGen(str(base), span_pattern="span-{SPAN}")
        make_folder({f"span-2/{name}": count for name, count in PRE_SPLIT.items()})

        names = set(read(run(example_gen, tmp_path))["eval"])

        assert len(names) == 4
        assert all(name.startswith("span-2/validation/") for name in names)

    def test_a_span_may_be_split_where_the_one_before_was_not(self, make_folder, tmp_path):
        base = make_folder({"span-1/a": 3, "span-1/b": 3})
        example_gen = ImageExampleGen(str(base), span_pattern="span-{SPAN}")
        assert all(name.startswith("span-1/") for name in read(run(example_gen, tmp_path))["eval"])
        make_folder({f"span-2/{name}": count for name, count in PRE_SPLIT.items()})
        assert all(name.startswith("span-2/validation/") for name in read(run(example_gen, tmp_path))["eval"])

    def test_padded_numbers_need_a_width(self, make_folder):
        base = make_folder({"span-07/a": 3, "span-07/b": 3})
        with pytest.raises(CompressorError, match=r"span-\{SPAN:2\}"):
            properties(ImageExampleGen(str(base), span_pattern="span-{SPAN}"))
        example_gen = ImageExampleGen(str(base), span_pattern="span-{SPAN:2}")
        assert input_config(example_gen).splits[0].pattern == "span-{SPAN:2}/*/*"

    @pytest.mark.parametrize("name", ["other", "span-old"])
    def test_no_number(self, name, make_folder):
        base = make_folder({f"{name}/a": 3, f"{name}/b": 3})
        with pytest.raises(CompressorError, match="cannot find the newest span 'span-"):
            properties(ImageExampleGen(str(base), span_pattern="span-{SPAN}"))


class TestWindow:
    """Several spans in one artifact."""

    SPAN = "span-{SPAN}"

    def splits_of(self, base: pathlib.Path, tmp_path: pathlib.Path, window: int) -> dict[str, str]:
        """The split of every image."""
        splits = read(run(ImageExampleGen(str(base), span_pattern=self.SPAN, span_window=window), tmp_path))
        return {name: split for split, images in splits.items() for name in images}

    def test_the_last_spans_are_read_together_however_each_is_laid_out(self, make_folder, tmp_path):
        make_folder({f"span-{number}/{label}": 3 for number in (1, 9) for label in "ab"})
        base = make_folder({f"span-10/{name}": count for name, count in PRE_SPLIT.items()})

        found = self.splits_of(base, tmp_path, window=2)

        assert {name for name in found if name.startswith("span-10/")} == {
            f"span-10/{name}/00{number}.jpg" for name in PRE_SPLIT for number in (0, 1)
        }
        assert found["span-10/validation/a/000.jpg"] == "eval"
        flat = {name: split for name, split in found.items() if name.startswith("span-9/")}
        assert len(flat) == 6
        assert set(flat.values()) == set(SHARES)
        assert len(found) == 12 + 6

    def test_a_window_may_be_wider_than_there_are_spans(self, make_folder, tmp_path):
        base = make_folder({f"span-{number}/{label}": 3 for number in (3, 7) for label in "ab"})
        assert len(self.splits_of(base, tmp_path, window=5)) == 12

    def test_an_image_stays_in_its_split_while_the_window_moves(self, make_folder, tmp_path):
        base = make_folder({f"span-{number}/{label}": 12 for number in (1, 2) for label in "ab"})
        before = self.splits_of(base, tmp_path, window=2)
        make_folder({f"span-3/{label}": 12 for label in "ab"})
        after = self.splits_of(base, tmp_path, window=2)
        assert {name.split("/")[0] for name in after} == {"span-2", "span-3"}
        assert {name: split for name, split in before.items() if name in after}.items() <= after.items()

    def test_spans_need_not_have_the_same_classes(self, make_folder, tmp_path):
        base = make_folder({"span-1/a": 3, "span-1/b": 3, "span-2/a": 1, "span-2/c": 3})
        splits = read(run(ImageExampleGen(str(base), span_pattern=self.SPAN, span_window=2), tmp_path))
        for images in splits.values():
            assert {label for label, _ in images.values()} == {"a", "b", "c"}

    @pytest.mark.parametrize(
        ("layout", "message"),
        [
            (
                {"span-1/a": 2, "span-2/a": 2, "span-2/b": 3},
                r"class 'a' has 4 image\(s\), but needs one .* in one of",
            ),
            ({"span-1/a": 3, "span-2/a": 3}, "single class, 'a'"),
        ],
    )
    def test_what_no_split_can_be_made_of_is_refused(self, layout, message, make_folder, tmp_path):
        base = make_folder(layout)
        with pytest.raises(CompressorError, match=message):
            self.splits_of(base, tmp_path, window=2)

    def test_the_fingerprint_is_of_all_spans_of_the_window(self, make_folder):
        base = make_folder({f"span-{number}/{label}": 3 for number in (1, 2, 3) for label in "ab"})

        def fingerprint() -> str:
            return properties(ImageExampleGen(str(base), span_pattern=self.SPAN, span_window=2))["input_fingerprint"]

        before = fingerprint()
        (base / "span-1" / "a" / "000.jpg").unlink()  # not of the window
        assert fingerprint() == before
        (base / "span-2" / "a" / "000.jpg").rename(base / "span-2" / "b" / "moved.jpg")
        assert fingerprint() != before

    def test_versions_and_padding_are_those_of_each_span(self, make_folder):
        base = make_folder(
            {
                f"span-{span}/v{version}/{label}": 3
                for span, version in (("01", 1), ("01", 2), ("02", 1))
                for label in "ab"
            }
        )
        example_gen = ImageExampleGen(str(base), span_pattern="span-{SPAN:2}/v{VERSION}", span_window=2)
        given = properties(example_gen)
        assert json.loads(given["input_config"])["splits"][0]["pattern"] == "span-01/v2/*/*//span-02/v1/*/*"
        assert (given["span"], given["version"]) == (2, 1)

    def test_a_window_of_nothing_is_refused(self):
        with pytest.raises(CompressorError, match="a window of 0 spans is empty"):
            ImageExampleGen("images", span_pattern=self.SPAN, span_window=0)


class TestFingerprint:
    def fingerprint(self, base: pathlib.Path, driver: type) -> str:
        return properties(ImageExampleGen(str(base)), driver)["input_fingerprint"]

    def test_sees_an_image_that_moves_to_another_class(self, make_folder):
        base = make_folder({"cat": 4, "dog": 3})
        before = self.fingerprint(base, Driver)
        stock_before = self.fingerprint(base, stock_driver.FileBasedDriver)
        assert self.fingerprint(base, Driver) == before

        (base / "cat" / "003.jpg").rename(base / "dog" / "003.jpg")

        assert self.fingerprint(base, Driver) != before
        assert self.fingerprint(base, stock_driver.FileBasedDriver) == stock_before

    def test_sees_an_image_that_changes_in_a_folder_that_is_split(self, make_folder):
        base = make_folder(PRE_SPLIT)
        before = self.fingerprint(base, Driver)
        assert self.fingerprint(base, Driver) == before
        with (base / "test" / "b" / "000.jpg").open("ab") as file:
            file.write(b"more")
        assert self.fingerprint(base, Driver) != before

    def test_code_version_is_an_execution_property(self, make_folder):
        base = str(make_folder({"cat": 3, "dog": 3}))
        one, two = (properties(ImageExampleGen(base, code_version=v)) for v in ("1", "2"))
        assert one.pop("custom_config") != two.pop("custom_config")
        assert one == two


class TestUnreadableImages:
    @pytest.fixture
    def base(self, make_folder) -> pathlib.Path:
        base = make_folder({"cat": 10, "dog": 10})
        good = (base / "cat" / "000.jpg").read_bytes()
        (base / "cat" / "corrupt.jpg").write_bytes(good[: len(good) // 2])
        (base / "cat" / "empty.png").write_bytes(b"")
        (base / "dog" / "folder.png").mkdir()
        (base / "dog" / "bytes.gif").write_bytes(b"\0" * 99)
        (base / "dog" / "text.jpg").write_text("no image")
        return base

    @pytest.mark.survives("unreadable images among others")
    def test_are_skipped_counted_and_named(self, base, tmp_path, caplog):
        examples = run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=0.2)), tmp_path)

        bad = ["cat/corrupt.jpg", "cat/empty.png"]
        bad += ["dog/bytes.gif", "dog/folder.png", "dog/text.jpg"]
        assert examples.get_int_custom_property("skipped") == 5
        assert json.loads(examples.get_string_custom_property("skipped_files")) == bad
        lines = (pathlib.Path(examples.uri) / SKIPPED_FILE).read_text().splitlines()
        reasons = {one["file"]: one["reason"] for one in map(json.loads, lines)}
        assert sorted(reasons) == bad
        assert reasons["cat/empty.png"] == "empty file"
        assert reasons["dog/text.jpg"] == "not an image"
        assert "truncated" in reasons["cat/corrupt.jpg"].lower()
        assert all(f"skipped {name}: {reasons[name]}" in caplog.messages for name in bad)
        assert caplog.messages[-1] == "skipped 5 of 25 images; skipped.jsonl lists them"
        assert {record.name.partition(".")[0] for record in caplog.records} == {"components"}  # what the screen shows
        assert {name: len(images) for name, images in read(examples).items()} == {
            "train": 16, "eval": 2, "test": 2
        }  # fmt: skip

    @pytest.mark.survives("a named pipe among the images")
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
    def test_a_pipe_is_skipped_and_not_waited_for(self, make_folder, tmp_path):
        base = make_folder({"cat": 5, "dog": 5})
        os.mkfifo(base / "cat" / "pipe.jpg")
        assert properties(ImageExampleGen(str(base)))["input_fingerprint"]
        examples = run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=0.2)), tmp_path)
        (line,) = (pathlib.Path(examples.uri) / SKIPPED_FILE).read_text().splitlines()
        assert json.loads(line) == {"file": "cat/pipe.jpg", "reason": "not a regular file"}

    @pytest.mark.survives("too many unreadable images")
    def test_too_many_are_refused_and_no_split_is_left(self, base, tmp_path):
        (base / "dog" / "zero.jpg").write_bytes(b"")
        with pytest.raises(CompressorError) as error:
            run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=0.2)), tmp_path)
        message = str(error.value)
        assert message.startswith("6 of 26 images")
        assert "max_bad_share 0.2" in message
        assert "cat/corrupt.jpg" in message
        assert "dog/text.jpg" in message
        assert "dog/zero.jpg" not in message
        assert not list((tmp_path / "examples").glob("Split-*"))

    @pytest.mark.parametrize("layout", [{"a": 3, "b": 4}, PRE_SPLIT])
    def test_a_class_that_loses_too_many_is_refused(self, layout, make_folder, tmp_path):
        base = make_folder(layout)
        for path in base.glob("**/a/*.jpg" if "a" in layout else "test/a/*.jpg"):
            path.write_bytes(b"")
        with pytest.raises(CompressorError, match=r"class 'a' has 0 readable image\(s\)"):
            run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=1)), tmp_path)


class TestLinks:
    @pytest.mark.survives("a symbolic link out of the data folder")
    def test_that_lead_out_are_skipped(self, make_folder, tmp_path, image_bytes):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret.jpg").write_bytes(image_bytes())
        base = make_folder({"cat": 3, "dog": 3})
        (base / "cat" / "link.jpg").symlink_to(outside / "secret.jpg")
        (base / "cat" / "inside.jpg").symlink_to(base / "dog" / "000.jpg")
        (base / "eel").symlink_to(outside)

        with pytest.raises(CompressorError, match="class 'eel' has 0 readable"):
            run(ImageExampleGen(str(base), splits={"train": 1}, options=ImageOptions(max_bad_share=1)), tmp_path)
        (base / "eel").unlink()
        examples = run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=1, duplicates="keep")), tmp_path)

        assert examples.get_string_custom_property("skipped_files") == '["cat/link.jpg"]'
        assert "cat/inside.jpg" in {name for one in read(examples).values() for name in one}

    def test_that_lead_out_are_followed_on_request(self, make_folder, tmp_path, image_bytes):
        (tmp_path / "secret.jpg").write_bytes(image_bytes())
        base = make_folder({"cat": 3, "dog": 3})
        (base / "cat" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
        examples = run(ImageExampleGen(str(base), options=ImageOptions(follow_external_links=True)), tmp_path)
        assert examples.get_int_custom_property("skipped") == 0
        assert "cat/link.jpg" in {name for one in read(examples).values() for name in one}

    @pytest.mark.survives("a symbolic link out of the data folder")
    @pytest.mark.parametrize("link", ["test/a", "test"])
    def test_folders_of_a_split_that_lead_out_are_refused(self, make_folder, tmp_path, link):
        base = make_folder(PRE_SPLIT)
        (tmp_path / "outside").mkdir()
        (base / link).rename(tmp_path / "outside" / "moved")
        (base / link).symlink_to(tmp_path / "outside" / "moved")

        with pytest.raises(CompressorError, match=r"class 'a' has 0 readable image\(s\) in split 'test'"):
            run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=1)), tmp_path)

    @pytest.mark.survives("a symbolic link out of the data folder")
    def test_a_span_that_leads_out_is_refused(self, make_folder, tmp_path):
        base = make_folder({"span-1/cat": 3, "span-1/dog": 3})
        (base / "span-1").rename(tmp_path / "outside")
        (base / "span-1").symlink_to(tmp_path / "outside")

        with pytest.raises(CompressorError, match="class 'cat' has 0 readable"):
            run(ImageExampleGen(str(base), span_pattern="span-{SPAN}", options=ImageOptions(max_bad_share=1)), tmp_path)

    def test_that_lead_nowhere_are_named(self, make_folder):
        base = make_folder({"cat": 3, "dog": 3})
        (base / "cat" / "gone.jpg").symlink_to(base / "nowhere")
        with pytest.raises(CompressorError, match=r"cannot be found: .*/cat/gone\.jpg; No such file"):
            properties(ImageExampleGen(str(base)))

    def test_the_data_folder_itself_may_be_one(self, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 3})
        (tmp_path / "link").symlink_to(base)
        examples = run(ImageExampleGen(str(tmp_path / "link")), tmp_path)
        assert examples.get_int_custom_property("skipped") == 0


class TestRefused:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(CompressorError, match=r"nowhere' does not exist\. Give a folder"):
            run(ImageExampleGen(str(tmp_path / "nowhere")), tmp_path)

    def test_folder_that_cannot_be_listed(self, make_folder, tmp_path, monkeypatch):
        example_gen = ImageExampleGen(str(make_folder({"cat": 3})))

        def refuse(path):
            raise PermissionError("no permission")

        monkeypatch.setattr(listing.os, "listdir", refuse)
        with pytest.raises(CompressorError, match=r"images' cannot be listed: no permission"):
            run(example_gen, tmp_path)

    def test_no_class_folders(self, tmp_path, image_bytes):
        (tmp_path / "a.jpg").write_bytes(image_bytes())
        with pytest.raises(CompressorError, match="has no class folders"):
            run(ImageExampleGen(str(tmp_path)), tmp_path / "out")

    def test_split_is_missing(self, make_folder, tmp_path):
        base = make_folder({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1})
        with pytest.raises(CompressorError, match="Add a folder 'eval' or 'validation' or 'val'"):
            run(ImageExampleGen(str(base)), tmp_path)

    def test_split_is_there_twice(self, make_folder, tmp_path):
        base = make_folder({**PRE_SPLIT, "val/a": 2, "val/b": 2})
        with pytest.raises(CompressorError, match="more than once: validation, val"):
            run(ImageExampleGen(str(base)), tmp_path)

    @pytest.mark.parametrize("splits", [{}, {"train": 8, "eval": 0}])
    def test_shares(self, splits, make_folder):
        with pytest.raises(CompressorError, match="shares of 1 or more"):
            ImageExampleGen(str(make_folder({"a": 3, "b": 3})), splits=splits)

    @pytest.mark.parametrize(
        ("layout", "message"),
        [
            ({"cat": 3, "dog": 0}, r"class folder '.*/images/dog' has no images in a supported format"),
            ({"cat": 5}, "single class, 'cat'"),
            ({"cat": 5, "dog": 2}, r"class 'dog' has 2 image\(s\), but needs one for each of "),
            ({**PRE_SPLIT, "test/c": 2}, "class 'c' is in split 'test' but not in split 'train'"),
            ({**PRE_SPLIT, "train/c": 2}, "class 'c' is in split 'train' but not in split 'eval'"),
            ({**PRE_SPLIT, "test/c": 0}, r"class folder '.*/test/c' has no images in a supported format"),
        ],
    )
    def test_images(self, layout, message, make_folder, tmp_path):
        base = make_folder(layout)
        with pytest.raises(CompressorError, match=message):
            run(ImageExampleGen(str(base)), tmp_path)
        assert not (tmp_path / "examples").exists()


def bomb(side: int) -> bytes:
    """A PNG of a few KB which says that it has so many pixels a side, and has."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compressobj(9)
    pixels = b"".join(rows.compress(bytes(1 + (side + 7) // 8)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class TestLimits:
    @pytest.mark.survives("20,000 x 20,000 pixels, and a file of 2 GiB")
    def test_what_is_too_large_is_skipped_and_counted(self, make_folder, tmp_path, image_bytes):
        base = make_folder({"cat": 5, "dog": 5})
        (base / "cat" / "bomb.png").write_bytes(bomb(20_000))
        with (base / "dog" / "two-gigabytes.jpg").open("wb") as file:
            file.write(image_bytes())
            file.truncate(2**31)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        examples = run(ImageExampleGen(str(base), options=ImageOptions(max_bad_share=0.2)), tmp_path)

        # In KiB on Linux: the one would take 1.2 GB of pixels, the other its 2 GiB.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20
        lines = (pathlib.Path(examples.uri) / SKIPPED_FILE).read_text().splitlines()
        assert {one["file"]: one["reason"] for one in map(json.loads, lines)} == {
            "cat/bomb.png": "20000 x 20000 pixels, more than max_pixels 100,000,000",
            "dog/two-gigabytes.jpg": "more than max_file_mb 100",
        }
        assert examples.get_int_custom_property("skipped") == 2
        assert sum(len(images) for images in read(examples).values()) == 10

    def test_the_images_are_never_in_memory_together(self, make_folder, tmp_path, image_bytes):
        base = make_folder({"cat": 12, "dog": 12})
        for path in base.glob("*/*"):
            with path.open("ab") as file:
                file.truncate(2**24)  # what follows a JPEG's end is part of the file, though not of the image
        memory = pathlib.Path("/proc/self")
        (memory / "clear_refs").write_text("5")  # the peak is counted anew, see proc(5)
        before = peak(memory)

        examples = run(
            ImageExampleGen(str(base), splits={"train": 2, "test": 1}, options=ImageOptions(max_file_mb=16)), tmp_path
        )

        assert peak(memory) - before < 24 * 2**24
        assert sum(len(image) for images in read(examples).values() for _, image in images.values()) == 24 * 2**24

    def test_limits_can_be_changed(self, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 3})
        with pytest.raises(CompressorError, match="8 x 6 pixels, more than max_pixels 47"):
            run(ImageExampleGen(str(base), options=ImageOptions(max_pixels=47)), tmp_path)


class TestDuplicates:
    @pytest.fixture
    def base(self, make_folder) -> pathlib.Path:
        """A split folder in which one image is everywhere, and one is in two classes of a split."""
        base = make_folder({f"{split}/{label}": 3 for split in ("train", "eval", "test") for label in "ab"})
        original = (base / "test" / "a" / "000.jpg").read_bytes()
        for copy in ("train/a/copy.jpg", "train/b/copy.jpg", "eval/a/copy.jpg", "test/a/copy.jpg"):
            (base / copy).write_bytes(original)
        shutil.copyfile(base / "train" / "a" / "001.jpg", base / "train" / "b" / "also-a.jpg")
        return base

    @pytest.mark.survives("the same image in several splits")
    def test_copies_stay_in_one_split(self, base, tmp_path, caplog):
        with caplog.at_level("WARNING"):
            examples = run(ImageExampleGen(str(base)), tmp_path)

        names = {name for images in read(examples).values() for name in images}
        left_out = {"train/a/copy.jpg", "train/b/copy.jpg", "eval/a/copy.jpg"}
        assert names == {str(path.relative_to(base)) for path in base.rglob("*.jpg")} - left_out
        assert examples.get_int_custom_property("duplicates") == 5
        assert examples.get_int_custom_property("duplicates_left_out") == 3
        lines = (pathlib.Path(examples.uri) / DUPLICATES_FILE).read_text().splitlines()
        assert sorted(map(json.loads, lines), key=str) == [
            {
                "files": sorted([*left_out, "test/a/000.jpg", "test/a/copy.jpg"]), "labels": ["a", "b"],
                "splits": ["train", "eval", "test"], "left_out": sorted(left_out),
            },
            {
                "files": ["train/a/001.jpg", "train/b/also-a.jpg"], "labels": ["a", "b"], "splits": ["train"],
                "left_out": [],
            },
        ]  # fmt: skip
        assert "2 images have copies; 3 copies are left out" in caplog.text
        assert "the same image is in classes ['a', 'b']: ['train/a/001.jpg', 'train/b/also-a.jpg']" in caplog.text

    def test_on_request_they_stay_where_they_are(self, base, tmp_path):
        examples = run(ImageExampleGen(str(base), options=ImageOptions(duplicates="keep")), tmp_path)
        assert sum(len(images) for images in read(examples).values()) == 6 * 3 + 5
        assert examples.get_int_custom_property("duplicates") == 5
        assert examples.get_int_custom_property("duplicates_left_out") == 0

    @pytest.mark.survives("the same image in several splits")
    def test_no_image_is_in_two_splits_of_a_flat_folder(self, make_folder, tmp_path):
        base = make_folder({"cat": 12, "dog": 12})
        for path in list((base / "cat").iterdir()):
            shutil.copyfile(path, path.with_name(f"copy-{path.name}"))

        splits = read(run(ImageExampleGen(str(base)), tmp_path))

        contents = [{image for _, image in images.values()} for images in splits.values()]
        assert sum(map(len, contents)) == len(set.union(*contents)) == 24

    def test_a_class_of_copies_alone_is_refused(self, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 3})
        for path in (base / "dog").iterdir():
            shutil.copyfile(base / "cat" / "000.jpg", path)
        told = (
            "class '(cat|dog)' has . readable.* copies of images in other splits were left out; data.duplicates: keep"
        )
        with pytest.raises(CompressorError, match=told):
            run(ImageExampleGen(str(base)), tmp_path)


def test_component_spec(make_folder):
    base = str(make_folder({"cat": 3, "dog": 3}))
    example_gen = ImageExampleGen(base, splits=SHARES, code_version="abc", options=ImageOptions(max_bad_share=0.1))

    assert example_gen.outputs["examples"].type is standard_artifacts.Examples
    given = example_gen.exec_properties
    assert given["input_base"] == base
    assert input_config(example_gen) == example_gen_pb2.Input(
        splits=[example_gen_pb2.Input.Split(name="images", pattern="*/*")]
    )
    output_config = json.loads(given["output_config"])
    assert output_config["split_config"]["splits"] == [
        {"name": name, "hash_buckets": share} for name, share in SHARES.items()
    ]
    assert json.loads(given["custom_config"]) == {
        "custom_config": {
            "@type": "type.googleapis.com/google.protobuf.Struct",
            "value": {
                "options": as_parameter(ImageOptions(max_bad_share=0.1)),
                "code_version": "abc",
            },
        }
    }
