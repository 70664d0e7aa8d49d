"""Checked against Pillow, which reads EXIF by itself."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from compressor_lib.deployment.exif import orientation, upright

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def read(encoded: tf.Tensor) -> tf.Tensor:
    """In a graph, as it is served."""
    return orientation(encoded)


def jpeg(exif: bytes = b"", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", exif=exif, **options)
    return file.getvalue()


def exif(value: int, order: str = "<", kind: int = 3, before: int = 0) -> bytes:
    """EXIF by hand: the orientation behind some other tags."""
    packed = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
    entries = [struct.pack(f"{order}HHII", 271 + number, 4, 1, 7) for number in range(before)]
    entries.append(struct.pack(f"{order}HHI", 274, kind, 1) + packed)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return b"Exif\0\0" + header + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\0" * 4


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize(("order", "kind", "before"), [("<", 3, 0), (">", 3, 2), ("<", 4, 1), (">", 4, 0)])
def test_it_is_read_in_both_byte_orders(value, order, kind, before):
    assert read(jpeg(exif(value, order, kind, before))).numpy() == value


@pytest.mark.parametrize("value", range(1, 9))
def test_an_image_is_turned_as_pillow_turns_it(value):
    tag = Image.Exif()
    tag[274] = value
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", exif=tag)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(upright(tf.constant(PIXELS), tf.constant(value)), expected)


@pytest.mark.parametrize(
    "encoded",
    [
        jpeg(), jpeg(exif(0)), jpeg(exif(9)), jpeg(exif(6)[:12]), jpeg(exif(6, kind=2)),
        b"", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"no image", tf.io.encode_png(PIXELS).numpy(),
    ],
)  # fmt: skip
def test_images_without_orientation_are_upright(encoded):
    assert read(encoded).numpy() == 1


def test_preceding_segments_are_skipped():
    plain = jpeg(exif(6), comment=b"\xff\xe1 Exif")
    others = b"\xff\xe2" + struct.pack(">H", 60_000) + b"\xff" * 59_998 + b"\xff\xff"
    assert read(plain[:2] + others + plain[2:]).numpy() == 6
    assert read(plain[:2] + b"\xff\xe1" + struct.pack(">H", 12) + b"http://xmp" + plain[2:]).numpy() == 6


def test_segments_after_the_pixels_are_ignored():
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif(6))) + exif(6)
    assert read(jpeg() + segment).numpy() == 1


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_exif_raises_no_error(data):
    content = bytearray(jpeg(exif(data.draw(st.integers(0, 9)), data.draw(st.sampled_from("<>")))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    assert 1 <= read(bytes(content[: data.draw(st.integers(0, 120))])).numpy() <= 8
