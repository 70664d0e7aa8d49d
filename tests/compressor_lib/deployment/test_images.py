from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from compressor_lib.deployment.images import decode_image, decode_upright, encode_image

SIZE = 16


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    rows = np.linspace(0, 200, height)[:, None, None]
    columns = np.linspace(0, 55, width)[None, :, None]
    return np.repeat(rows + columns, 3, axis=2).astype(np.uint8)


def test_a_png_of_the_size_keeps_its_pixels():
    image = noise(SIZE, SIZE)
    np.testing.assert_array_equal(decode_image(encode_image(image), SIZE), image)


@pytest.mark.parametrize(
    "encoded",
    [
        tf.io.encode_png(noise(40, 25)),
        tf.io.encode_png(noise(40, 25, 1)),
        tf.io.encode_png(noise(40, 25, 4)),
        tf.io.encode_jpeg(noise(5, 7)),
        tf.io.encode_jpeg(noise(40, 25, 1)),
    ],
    ids=["png", "grey png", "rgba png", "small jpeg", "grey jpeg"],
)
def test_every_kind_becomes_a_square_of_three_channels(encoded):
    image = decode_image(encoded, SIZE)
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == tf.uint8


def test_grey_becomes_three_equal_channels():
    image = decode_image(tf.io.encode_png(noise(20, 20, 1)), SIZE).numpy()
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_shrinking_averages_instead_of_skipping_pixels():
    chequered = np.tile(np.array([[0, 255], [255, 0]], np.uint8)[..., None], (32, 32, 3))
    image = decode_image(encode_image(chequered), SIZE).numpy()
    assert 120 <= image.min() <= image.max() <= 135


def test_pixels_are_rounded_not_cut():
    pair = np.array([[[10] * 3, [11] * 3], [[11] * 3, [11] * 3]], np.uint8)  # mean 10.75
    assert decode_image(encode_image(pair), 1).numpy().tolist() == [[[11, 11, 11]]]


def test_the_same_pixels_eagerly_in_tf_data_and_in_map_fn():
    encoded = [encode_image(smooth(30, 50)).numpy(), tf.io.encode_jpeg(smooth(64, 20)).numpy()]
    eager = np.stack([decode_image(one, SIZE) for one in encoded])

    dataset = tf.data.Dataset.from_tensor_slices(encoded).map(lambda one: decode_image(one, SIZE))
    assert dataset.element_spec.shape == (SIZE, SIZE, 3)
    mapped = tf.function(
        lambda batch: tf.map_fn(lambda one: decode_image(one, SIZE), batch, fn_output_signature=tf.uint8)
    )(tf.constant(encoded))

    np.testing.assert_array_equal(np.stack(list(dataset)), eager)
    np.testing.assert_array_equal(mapped, eager)


def test_bytes_that_are_not_an_image_are_rejected():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(b"not an image"), SIZE)


@pytest.mark.parametrize("mode", ["P", "L", "1"])
def test_bmp_with_palette_is_rejected(mode):
    file = io.BytesIO()
    Image.fromarray(noise(9, 9)).convert(mode).save(file, "BMP")
    with pytest.raises(tf.errors.InvalidArgumentError, match="a BMP with a palette is not supported: save it as PNG"):
        decode_upright(tf.constant(file.getvalue()))


def test_bmp_without_palette_is_read():
    file = io.BytesIO()
    Image.fromarray(noise(9, 9)).save(file, "BMP")
    np.testing.assert_array_equal(decode_upright(tf.constant(file.getvalue())), noise(9, 9))


def test_sixteen_bits_are_reduced_to_the_upper_eight():
    deep = np.random.default_rng(0).integers(0, 2**16, (9, 9, 3), dtype=np.uint16)
    np.testing.assert_array_equal(decode_upright(tf.io.encode_png(deep)), deep >> 8)


def test_images_are_rotated_upright():
    tag = Image.Exif()
    tag[274] = 6
    file = io.BytesIO()
    Image.fromarray(noise(8, 12)).save(file, "JPEG", exif=tag)
    turned = decode_upright(tf.constant(file.getvalue()))
    stored = tf.io.decode_jpeg(file.getvalue())
    np.testing.assert_array_equal(turned, np.rot90(stored, k=-1))
