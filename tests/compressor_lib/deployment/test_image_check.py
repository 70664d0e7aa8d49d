"""What is trained on and predicted: what of it TensorFlow reads, and what becomes a PNG."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from memory import peak
from odd_images import in_mode
from PIL import Image

from compressor_lib.deployment import image_check
from compressor_lib.deployment.image_check import UnreadableImage, decodable
from compressor_lib.deployment.images import decode_image


def animated(frames: int, side: int) -> bytes:
    """A GIF that repeats one frame, a comment before each copy."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "GIF")
    one = file.getvalue()
    begin = 13 + 3 * 2 ** ((one[10] & 7) + 1)  # behind the screen's descriptor and colours
    return one[:-1] + (frames - 1) * (b"\x21\xfe\x02hi\0" + one[begin:-1]) + one[-1:]


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"),
        ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "1"), ("GIF", "P"),
    ],
)  # fmt: skip
def test_images_that_tensorflow_reads_are_unchanged(kind, mode):
    encoded = in_mode(mode, kind)(0)
    assert decodable(encoded).encoded == encoded
    assert decode_image(tf.constant(encoded), 6).shape == (6, 6, 3)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("BMP", "RGB"), ("BMP", "RGBA"), ("BMP", "L"), ("BMP", "P"), ("BMP", "1"),
        ("WEBP", "RGB"), ("TIFF", "RGBA"),
    ],
)  # fmt: skip
def test_other_images_become_png_with_the_same_colours(kind, mode):
    encoded = in_mode(mode, kind)(0)
    png = decodable(encoded).encoded
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(tf.io.decode_png(png), expected)


def test_an_animation_is_read():
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    image = decode_image(tf.constant(decodable(file.getvalue()).encoded), 6)
    np.testing.assert_array_equal(image[0, 0], [255, 0, 0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_truncated_file_is_unreadable(kind):
    encoded = in_mode("P" if kind == "GIF" else "RGB", kind)(0)
    with pytest.raises(UnreadableImage):
        decodable(encoded[: len(encoded) // 2])


@pytest.mark.survives("an image that would start a program")
def test_formats_that_start_programs_are_not_opened():
    postscript = io.BytesIO()
    Image.new("RGB", (4, 4)).save(postscript, "EPS")
    with pytest.raises(UnreadableImage, match="not an image"):
        decodable(postscript.getvalue())


def test_orientation_is_undone_where_pillow_decodes():
    tag = Image.Exif()
    tag[274] = 6
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", exif=tag)
    png = decodable(file.getvalue()).encoded
    np.testing.assert_array_equal(tf.io.decode_png(png), np.rot90(pixels, k=-1))


def test_sixteen_bits_are_reduced_to_the_upper_eight():
    deep = np.arange(0, 2**16, 2**12, dtype=np.uint16).reshape(4, 4)
    file = io.BytesIO()
    Image.fromarray(deep).save(file, "TIFF")
    png = decodable(file.getvalue()).encoded
    np.testing.assert_array_equal(tf.io.decode_png(png)[..., 0], deep >> 8)


def test_deeper_pixels_are_unreadable():
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(file, "TIFF")
    with pytest.raises(UnreadableImage, match="more than 16 bits"):
        decodable(file.getvalue())


@pytest.mark.survives("a decompression bomb, of each format")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_too_many_pixels_are_unreadable_before_any_is_decoded(kind, monkeypatch):
    file = io.BytesIO()
    Image.new("RGB", (100, 101)).save(file, kind)
    assert decodable(file.getvalue(), max_pixels=10_100)
    monkeypatch.setattr(image_check, "decode_upright", pytest.fail)
    with pytest.raises(UnreadableImage, match=r"100 x 101 pixels, more than max_pixels 10,099"):
        decodable(file.getvalue(), max_pixels=10_099)


@pytest.mark.survives("an animation of many frames")
def test_all_frames_of_an_animation_count():
    animation = animated(60, side=2500)
    with Image.open(io.BytesIO(animation)) as image:
        assert image.n_frames == 60
    memory = pathlib.Path("/proc/self")
    (memory / "clear_refs").write_text("5")  # the peak is counted anew, see proc(5)
    before = peak(memory)
    told = r"60 frames of 375,000,000 pixels together, more than max_pixels 100,000,000"
    with pytest.raises(UnreadableImage, match=told):
        decodable(animation, max_pixels=10**8)
    with pytest.raises(UnreadableImage, match="60 frames"):
        decodable(animation[:-100], max_pixels=10**8)  # a decoder would keep what is before the cut
    assert peak(memory) - before < 2500**2
    assert decodable(animated(60, side=25), max_pixels=60 * 25**2).is_converted is False


def test_copies_have_the_same_hash_in_any_format():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    digests = set()
    for kind in ("PNG", "BMP", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        digests.add(decodable(file.getvalue()).sha256)
    assert len(digests) == 1
    assert decodable(tf.io.encode_png(pixels.reshape(7, 5, 3)).numpy()).sha256 not in digests


def test_pillows_own_limit_is_restored(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    encoded = in_mode("RGB", "PNG")(0)
    assert decodable(encoded).encoded == encoded
    assert Image.MAX_IMAGE_PIXELS == 10
