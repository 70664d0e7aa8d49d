"""Folders of images as people have them: nothing but a CompressorError is raised, and no label is wrong."""

from __future__ import annotations

import collections
import io
import json
import pathlib
import shutil
import tempfile

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from odd_images import BROKEN, CONVERTED, SERVED, SUFFIXES, pixels, saved
from PIL import Image, ImageOps
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from components.image_example_gen import ImageExampleGen
from components.image_example_gen.driver import Driver
from components.image_example_gen.executor import DUPLICATES_FILE, SKIPPED_FILE, Executor
from compressor_lib.deployment import image_check
from compressor_lib.deployment.images import decode_upright
from compressor_lib.errors import CompressorError

WHOLE = SERVED | CONVERTED


@pytest.mark.survives("a broken image")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_told_in_one_line(kind):
    with pytest.raises(image_check.UnreadableImage) as caught:
        image_check.decodable(BROKEN[kind](0))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.survives("an odd image")
@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_image_has_the_colours_that_pillow_sees(kind):
    if "16-bit" in kind:
        pytest.skip("Pillow cuts 16 bits off at 255")
    encoded = WHOLE[kind](3)
    read = decode_upright(tf.constant(image_check.decodable(encoded).encoded)).numpy().astype(int)
    expected = np.asarray(as_pillow_sees(encoded)).astype(int)
    assert read.shape == expected.shape
    assert np.abs(read - expected).mean() < 4  # the libraries' own ways of decoding JPEG and CMYK


def as_pillow_sees(encoded: bytes) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    if image.mode in ("RGBA", "LA"):  # transparency is dropped, not blended
        image = image.convert("RGBA")
    return image.convert("RGB")


folders = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([*WHOLE, *BROKEN]), st.integers(0, 5), st.sampled_from([*SUFFIXES, ".txt", ".jpg.txt"])
        ),
        min_size=0,
        max_size=7,
    ),
    min_size=0,
    max_size=3,
)


@pytest.mark.survives("folders of Hypothesis' making")
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(classes=folders, share=st.sampled_from([0.0, 0.3, 1.0]), policy=st.sampled_from(["one_split", "keep"]))
def test_any_folder_is_read_rightly_or_refused(classes, share, policy):
    with tempfile.TemporaryDirectory() as place:
        base = pathlib.Path(place, "images")
        base.mkdir()
        for number, files in enumerate(classes):
            folder = base / f"class {number}"
            folder.mkdir()
            for index, (kind, seed, suffix) in enumerate(files):
                (folder / f"{index}{suffix}").write_bytes((WHOLE | BROKEN)[kind](seed))
        try:
            examples = run(ImageExampleGen(str(base), max_bad_share=share, duplicates=policy), pathlib.Path(place))
        except CompressorError as error:
            told = str(error)
        else:
            check(base, examples, policy)
            return
        assert len(told.splitlines()) == 1


def run(example_gen: ImageExampleGen, place: pathlib.Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(place / "examples")
    pipeline = data_types.PipelineInfo("", "")
    properties = Driver(None).resolve_exec_properties(
        dict(example_gen.exec_properties), pipeline, data_types.ComponentInfo("", "", pipeline)
    )
    Executor().Do({}, {"examples": [examples]}, properties)
    return examples


def check(base: pathlib.Path, examples: standard_artifacts.Examples, policy: str) -> None:
    """Every image is in one split under its folder's name with its pixels, or is told of."""
    uri = pathlib.Path(examples.uri)
    told = {json.loads(line)["file"] for line in (uri / SKIPPED_FILE).read_text().splitlines()}
    duplicates = [json.loads(line) for line in (uri / DUPLICATES_FILE).read_text().splitlines()]
    left_out = {name for one in duplicates for name in one["left_out"]}
    found: dict[str, str] = {}
    by_content: dict[bytes, set[str]] = collections.defaultdict(set)
    for file in uri.glob("Split-*/*"):
        for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            name, label, image = (feature[key].bytes_list.value[0] for key in ("filename", "label", "image"))
            assert name.decode().split("/")[0] == label.decode()
            assert name.decode() not in found
            found[name.decode()] = file.parent.name
            content = decode_upright(tf.constant(image)).numpy()
            expected = image_check.decodable((base / name.decode()).read_bytes()).encoded
            np.testing.assert_array_equal(content, decode_upright(tf.constant(expected)))
            by_content[content.tobytes() + str(content.shape).encode()].add(file.parent.name)
    there = {
        path.relative_to(base).as_posix()
        for path in base.glob("*/*")
        if path.suffix.lower() in [*map(str.lower, SUFFIXES)]
    }
    assert there == set(found) | told | left_out
    assert not told & set(found)
    if policy == "one_split":
        assert all(len(splits) == 1 for splits in by_content.values())
    else:
        assert not left_out


@pytest.mark.survives("a corpus of all kinds of images")
@pytest.mark.slow
def test_a_corpus_of_everything(tmp_path):
    base = tmp_path / "images"
    for label in ("one", "other"):
        (base / label).mkdir(parents=True)
        for index, (kind, make) in enumerate((WHOLE | BROKEN).items()):
            suffix = SUFFIXES[index % len(SUFFIXES)]  # most are wrong
            (base / label / f"{kind}{suffix}").write_bytes(make(index + 100 * len(label)))
    shutil.copyfile(next((base / "one").glob("jpeg*")), base / "one" / "copy.jpg")
    (base / "one" / "image.txt").write_bytes(saved(Image.fromarray(pixels(0)), "PNG"))

    examples = run(ImageExampleGen(str(base), max_bad_share=0.5), tmp_path)

    check(base, examples, "one_split")
    assert examples.get_int_custom_property("skipped") == 2 * len(BROKEN)
