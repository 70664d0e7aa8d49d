"""Folders of images as people have them: odd paths, names, suffixes and files among the images."""

import io
import json
import os
import pathlib
import unicodedata

import pytest
import tensorflow as tf
from PIL import Image
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from components.image_example_gen import ImageExampleGen, dataset_layout
from components.image_example_gen.driver import Driver
from components.image_example_gen.executor import SKIPPED_FILE, Executor
from components.left_out import read_left_out
from components.node_options import ImageOptions
from compressor_lib.errors import CompressorError

pytestmark = pytest.mark.slow

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
SPLITS = {"train": 2, "eval": 1, "test": 1}


def properties(example_gen: ImageExampleGen) -> dict:
    pipeline = data_types.PipelineInfo("", "")
    component = data_types.ComponentInfo("", "", pipeline)
    return Driver(None).resolve_exec_properties(dict(example_gen.exec_properties), pipeline, component)


def fingerprint(base: pathlib.Path, **options) -> str:
    return properties(ImageExampleGen(str(base), **options))["input_fingerprint"]


def run(base: pathlib.Path, tmp_path: pathlib.Path, **options) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    Executor().Do({}, {"examples": [examples]}, properties(ImageExampleGen(str(base), SPLITS, **options)))
    return examples


def labels(examples: standard_artifacts.Examples) -> dict[str, str]:
    """The class of every image, by its name."""
    files = [str(file) for file in pathlib.Path(examples.uri).glob("Split-*/*")]
    found = {}
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        label, name = (feature[key].bytes_list.value[0].decode() for key in ("label", "filename"))
        found[name] = label
    return found


def reasons(examples: standard_artifacts.Examples) -> dict[str, str]:
    lines = (pathlib.Path(examples.uri) / SKIPPED_FILE).read_text().splitlines()
    return {one["file"]: one["reason"] for one in map(json.loads, lines)}


class TestLiteralPaths:
    @pytest.mark.parametrize("root", ["pics [v2]", "what?", "x*|{SPAN}"])
    @pytest.mark.parametrize("span", [None, "span-{SPAN}"])
    def test_images_that_arrive_are_seen(self, root, span, make_folder, image_bytes, tmp_path):
        below = "" if span is None else "span-3/"
        base = make_folder({f"{below}cat": 4, f"{below}dog": 4}, root)
        before = fingerprint(base, span_pattern=span)
        assert fingerprint(base, span_pattern=span) == before
        (base / f"{below}cat" / "new.jpg").write_bytes(image_bytes(seed=7))
        assert fingerprint(base, span_pattern=span) != before
        assert len(labels(run(base, tmp_path, span_pattern=span))) == 9

    @pytest.mark.parametrize(
        "pattern", ["day [{SPAN}]", "a|b {SPAN}", "what?/{YYYY}-{MM}-{DD}", "x*/{SPAN:2}.v{VERSION}"]
    )
    def test_spans_too_are_named_literally(self, pattern, make_folder, tmp_path):
        def named(number: int) -> str:
            filled = pattern.replace("{SPAN:2}", f"{number:02}").replace("{SPAN}", f"{number}")
            return filled.replace("{VERSION}", "1").replace("{YYYY}-{MM}-{DD}", f"2026-01-{number:02}")

        for number in (8, 9, 10):
            base = make_folder({f"{named(number)}/{label}": 4 for label in "ab"})
        make_folder({"day 1/a": 1, "aXb 11/a": 1, "whatX/2026-01-11/a": 1, "xyz/11.v1/a": 1})
        found = labels(run(base, tmp_path, span_pattern=pattern, span_window=2))
        assert {name.rpartition("/")[0].rpartition("/")[0] for name in found} == {named(9), named(10)}


class TestWhatIsNoImage:
    @pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "cat/.DS_Store", "cat/desktop.ini", "cat/001.json"])
    def test_is_not_in_the_fingerprint(self, name, make_folder):
        base = make_folder({"cat": 4, "dog": 4})
        before = fingerprint(base)
        (base / name).write_text("not an image")
        assert fingerprint(base) == before

    @pytest.mark.parametrize("name", ["README", "cat/Makefile"])
    def test_is_not_in_the_fingerprint_without_a_suffix_either(self, name, make_folder):
        base = make_folder({"cat": 4, "dog": 4})
        before = fingerprint(base)
        (base / name).write_text("BMW, not an image")
        os.mkfifo(base / "cat" / "pipe")
        assert fingerprint(base) == before

    @pytest.mark.parametrize("name", ["cat/new.jpg", "cat/new.heic", "cat/new/1.jpg", "new.JPG"])
    def test_but_images_are_also_those_that_are_left_out(self, name, make_folder):
        base = make_folder({"cat": 4, "dog": 4})
        before = fingerprint(base)
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).touch()
        assert fingerprint(base) != before


class TestNamesThatAreNotText:
    def test_a_file_is_named_counted_and_left_out(self, make_folder, image_bytes, tmp_path, caplog):
        base = make_folder({"cat": 8, "dog": 8})
        (base / "cat" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(image_bytes(seed=7))
        assert fingerprint(base)
        examples = run(base, tmp_path, options=ImageOptions(max_bad_share=0.1))
        assert reasons(examples) == {r"cat/caf\xe9.jpg": "its name is not UTF-8: rename it"}
        assert len(labels(examples)) == 16
        assert "class 'cat': 1 of 9 images are left out (1 .jpg with a name that is not UTF-8)" in caplog.text
        with pytest.raises(CompressorError, match=r"1 of 17 images .*cat/caf\\xe9\.jpg \(its name is not UTF-8"):
            run(base, tmp_path, options=ImageOptions(max_bad_share=0.01))

    @pytest.mark.parametrize("layout", ["", "train/"])
    def test_a_class_folder_is_refused_by_name(self, layout, make_folder, tmp_path):
        base = make_folder(
            {f"{split}{label}": 4 for split in ([""] if not layout else ["train/", "eval/", "test/"]) for label in "ab"}
        )
        (base / f"{layout}a").rename(base / layout / os.fsdecode(b"gar\xe7on"))
        with pytest.raises(CompressorError, match=rf"class folder '.*/{layout}gar\\xe7on': .* not UTF-8: rename it"):
            dataset_layout.layout(str(base), "*/*", SPLITS)
        with pytest.raises(CompressorError, match=r"gar\\xe7on"):
            run(base, tmp_path)


class TestNamesWrittenInTwoWays:
    def test_folders_of_one_name_are_one_class(self, make_folder, tmp_path):
        base = make_folder({NFC: 4, NFD: 4, "tea": 4})
        found = labels(run(base, tmp_path))
        assert set(found.values()) == {NFC, "tea"}
        assert sum(label == NFC for label in found.values()) == 8

    def test_few_images_in_each_are_counted_together(self, make_folder, tmp_path):
        base = make_folder({NFC: 2, NFD: 1, "tea": 3})
        assert len(labels(run(base, tmp_path))) == 6

    def test_splits_may_differ_in_the_writing(self, make_folder, tmp_path):
        base = make_folder({f"train/{NFC}": 2, f"eval/{NFD}": 2, f"test/{NFC}": 2, **{f"{s}/tea": 2 for s in SPLITS}})
        assert set(labels(run(base, tmp_path)).values()) == {NFC, "tea"}

    def test_spans_may_differ_in_the_writing(self, make_folder, tmp_path):
        base = make_folder({f"span-1/{NFC}": 4, "span-1/tea": 4, f"span-2/{NFD}": 4, "span-2/tea": 4})
        assert set(labels(run(base, tmp_path, span_pattern="span-{SPAN}", span_window=2)).values()) == {NFC, "tea"}

    def test_whitespace_around_a_folders_name_goes(self, make_folder, tmp_path):
        base = make_folder({"cat\r": 4, "cat": 4, "dog ": 4})
        assert set(labels(run(base, tmp_path)).values()) == {"cat", "dog"}

    def test_a_folder_of_whitespace_alone_is_refused(self, make_folder, tmp_path):
        base = make_folder({" ": 4, "cat": 4})
        with pytest.raises(CompressorError, match="class folder '.*/ ': the class name ' ' is empty"):
            run(base, tmp_path)


class TestSuffixes:
    @pytest.mark.parametrize(
        ("suffix", "kind"),
        [
            (".jfif", "JPEG"), (".jpe", "JPEG"), (".webp", "WEBP"), (".WEBP", "WEBP"), (".tif", "TIFF"),
            (".tiff", "TIFF"), (".ppm", "PPM"), (".pgm", "PPM"), (".avif", "AVIF"),
        ],
    )  # fmt: skip
    def test_formats_are_read(self, suffix, kind, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 4})
        file = io.BytesIO()
        Image.effect_noise((9, 7), 50).convert("L" if suffix == ".pgm" else "RGB").save(file, kind)
        (base / "cat" / f"new{suffix}").write_bytes(file.getvalue())
        examples = run(base, tmp_path)
        assert f"cat/new{suffix}" in labels(examples)
        assert examples.get_int_custom_property("skipped") == 0

    @pytest.fixture
    def base(self, make_folder, image_bytes) -> pathlib.Path:
        """Of one class 24 of 84 images are read."""
        base = make_folder({"cat": 24, "dog": 84, "cat/2024": 20})
        for number in range(40):
            (base / "cat" / f"{number}.heic").write_bytes(b"x")
        (base / "cat" / "labels.txt").write_text("x")
        return base

    def test_what_is_left_out_is_refused_above_the_share(self, base, tmp_path):
        told = r"60 of 168 images .* \(40 \.heic, 20 \.jpg in nested folders\), more than max_bad_share 0\.05 allows"
        with pytest.raises(CompressorError, match=told):
            run(base, tmp_path)

    def test_what_is_left_out_is_warned_of_by_class_and_counted(self, base, tmp_path, caplog):
        examples = run(base, tmp_path, options=ImageOptions(max_bad_share=0.5))
        told = "class 'cat': 60 of 84 images are left out (40 .heic, 20 .jpg in nested folders)"
        assert ("WARNING", told) in [(record.levelname, record.getMessage()) for record in caplog.records]
        assert examples.get_int_custom_property("skipped") == 60
        counts = read_left_out(examples)
        assert counts.images == {".heic": 40, ".jpg in nested folders": 20}
        assert counts.others == {".txt": 1}

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF"])
    def test_images_without_suffix_are_read(self, kind, make_folder, tmp_path):
        base = make_folder({"cat": 3, "dog": 4})
        before = fingerprint(base)
        Image.effect_noise((9, 7), 50).convert("RGB").save(base / "cat" / "0a1b2c", kind)
        (base / "cat" / "README").write_text("Photographs of cats.")
        examples = run(base, tmp_path)
        assert "cat/0a1b2c" in labels(examples)
        assert examples.get_int_custom_property("skipped") == 0
        assert read_left_out(examples).others == {"without suffix": 1}
        assert fingerprint(base) != before

    def test_a_class_may_be_of_images_without_suffix_alone(self, make_folder, tmp_path):
        base = make_folder({"cat": 4, "dog": 4})
        for file in (base / "cat").iterdir():
            file.rename(file.with_suffix(""))
        assert set(labels(run(base, tmp_path)).values()) == {"cat", "dog"}

    def test_images_without_suffix_that_are_left_out_are_counted(self, make_folder, image_bytes, tmp_path):
        base = make_folder({"cat": 8, "dog": 8, "cat/deeper": 0})
        for name in ("stray", "cat/deeper/1", os.fsdecode(b"cat/caf\xe9")):
            (base / name).write_bytes(image_bytes(seed=7))
        (base / "dog" / "damaged").write_bytes(image_bytes(seed=8)[:40])
        (base / "dog" / "telephone").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
        counts = read_left_out(run(base, tmp_path, options=ImageOptions(max_bad_share=0.3)))
        assert counts.images == {
            "without suffix unreadable": 2, "without suffix outside class folders": 1,
            "without suffix in nested folders": 1, "without suffix with a name that is not UTF-8": 1,
        }  # fmt: skip
        with pytest.raises(CompressorError, match="5 of 21 images"):
            run(base, tmp_path, options=ImageOptions(max_bad_share=0.2))

    def test_unreadable_images_and_those_beside_the_folders_are_counted_too(self, make_folder, tmp_path):
        base = make_folder({"cat": 4, "dog": 4})
        (base / "cat" / "bad.png").write_bytes(b"x")
        (base / "stray.jpg").write_bytes(b"x")
        counts = read_left_out(run(base, tmp_path, options=ImageOptions(max_bad_share=0.5)))
        assert counts.images == {".jpg outside class folders": 1, ".png unreadable": 1}

    def test_a_class_of_which_nothing_is_read_says_what_there_is(self, make_folder, tmp_path):
        base = make_folder({"cat": 4, "dog": 0})
        (base / "dog" / "1.heic").touch()
        with pytest.raises(
            CompressorError, match=r"no images in a supported format .*; 1 images in it are left out \(1 \.heic\)"
        ):
            run(base, tmp_path)
