"""Encoded images to pixels and back: one way for Transform, training and serving."""

from __future__ import annotations

import tensorflow as tf

from compressor_lib.deployment.exif import orientation, upright

CHANNELS = 3


def decode_image(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes one image and resizes it to a square.

    Works eagerly and inside graphs (`tf.data`, `tf.map_fn`, a Transform `preprocessing_fn`). The
    resize is antialiased and bilinear; it does not keep the aspect ratio. An image that is already
    `size` x `size` keeps its pixels exactly.

    Args:
        encoded: scalar `tf.string`, a JPEG, PNG, BMP or GIF file's bytes.
        size: side of the square, in pixels.

    Returns:
        `uint8` tensor of shape `[size, size, 3]`, RGB.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not such an image.
    """
    image = decode_upright(encoded)
    resized = tf.image.resize(image, [size, size], method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def decode_upright(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one image in its own size, as it is meant to be seen.

    A JPEG is turned as its EXIF orientation says. Grey images become three equal channels, transparency is dropped,
    of an animation the first frame is kept, of 16 bits the upper 8.

    Args:
        encoded: scalar `tf.string`, a JPEG, PNG, BMP or GIF file's bytes.

    Returns:
        `uint8` tensor of shape `[height, width, 3]`, RGB.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not such an image, or a BMP with a palette, which
            TensorFlow would decode to wrong colours.
    """
    with tf.control_dependencies([_refuse_palette_bmp(encoded)]):
        image = tf.io.decode_image(encoded, channels=CHANNELS, expand_animations=False)
    # decode_image leaves the rank open, and resize needs it.
    image.set_shape([None, None, CHANNELS])
    image = upright(image, orientation(encoded))
    image.set_shape([None, None, CHANNELS])
    return image


def _refuse_palette_bmp(encoded: tf.Tensor) -> tf.Operation | None:
    """Bits per pixel are the two bytes at 28 (BITMAPINFOHEADER): 24, or 8 and less with a palette."""
    header = tf.strings.substr(tf.strings.join([encoded, b"\0" * 32]), 0, 32)
    palette = (tf.strings.substr(header, 0, 2) == b"BM") & (tf.strings.substr(header, 28, 2) != b"\x18\0")
    return tf.debugging.assert_equal(palette, False, "a BMP with a palette is not read: save it as PNG")


def encode_image(image: tf.Tensor) -> tf.Tensor:
    """Encodes one image without loss.

    Args:
        image: `uint8` tensor of shape `[height, width, 3]`.

    Returns:
        Scalar `tf.string`: a PNG file's bytes, which `decode_image` turns back into the same
        pixels.
    """
    # Level 1 writes several times faster than the default, for files a few per cent larger.
    return tf.io.encode_png(image, compression=1)
