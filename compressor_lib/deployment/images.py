"""Decodes and encodes images. Transform, training and serving all use these functions."""

from __future__ import annotations

import tensorflow as tf

from compressor_lib.deployment.exif import orientation, upright

CHANNELS = 3


def decode_image(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes one image and resizes it to a square.

    Works eagerly and inside graphs (``tf.data``, ``tf.map_fn``, a Transform ``preprocessing_fn``). The image is resized
    with antialiased bilinear interpolation, without keeping the aspect ratio. An image that is already ``size`` x
    ``size`` keeps its exact pixels.

    Args:
        encoded: Scalar ``tf.string``, the bytes of a JPEG, PNG, BMP or GIF file.
        size: Side of the square, in pixels.

    Returns:
        ``uint8`` tensor of shape ``[size, size, 3]``, RGB.

    Raises:
        tf.errors.InvalidArgumentError: When the operation runs, if the bytes are not such an image.
    """
    return resize_image(decode_upright(encoded), size)


def resize_image(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes a decoded image to a square, as :func:`decode_image` does.

    Args:
        image: ``uint8`` tensor of shape ``[height, width, 3]``.
        size: Side of the square, in pixels.

    Returns:
        ``uint8`` tensor of shape ``[size, size, 3]``.
    """
    resized = tf.image.resize(image, [size, size], method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def decode_upright(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one image upright, in its original size.

    A JPEG is rotated according to its EXIF orientation. Greyscale images get three equal channels, and transparency is
    dropped. Animations are reduced to the first frame, and 16-bit values to their upper 8 bits.

    Args:
        encoded: Scalar ``tf.string``, the bytes of a JPEG, PNG, BMP or GIF file.

    Returns:
        ``uint8`` tensor of shape ``[height, width, 3]``, RGB.

    Raises:
        tf.errors.InvalidArgumentError: When the operation runs, if the bytes are not such an image, or are a BMP with a
            palette, which TensorFlow would decode to wrong colours.
    """
    with tf.control_dependencies([_refuse_palette_bmp(encoded)]):
        image = tf.io.decode_image(encoded, channels=CHANNELS, expand_animations=False)
    # decode_image returns an unknown rank, but resize needs the rank.
    image.set_shape([None, None, CHANNELS])
    image = upright(image, orientation(encoded))
    image.set_shape([None, None, CHANNELS])
    return image


def _refuse_palette_bmp(encoded: tf.Tensor) -> tf.Operation | None:
    """Rejects palette BMPs. Bits per pixel (2 bytes at 28, BITMAPINFOHEADER) are 24, or at most 8 with a palette."""
    header = tf.strings.substr(tf.strings.join([encoded, b"\0" * 32]), 0, 32)
    palette = (tf.strings.substr(header, 0, 2) == b"BM") & (tf.strings.substr(header, 28, 2) != b"\x18\0")
    return tf.debugging.assert_equal(palette, False, "a BMP with a palette is not supported: save it as PNG")


def encode_image(image: tf.Tensor) -> tf.Tensor:
    """Encodes one image without loss.

    Args:
        image: ``uint8`` tensor of shape ``[height, width, 3]``.

    Returns:
        Scalar ``tf.string``, the bytes of a PNG file that ``decode_image`` decodes to the same pixels.
    """
    # Level 1 is several times faster than the default, for files a few per cent larger.
    return tf.io.encode_png(image, compression=1)
