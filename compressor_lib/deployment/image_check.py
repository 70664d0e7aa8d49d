"""Makes sure that an image can be decoded by TensorFlow, and by how much memory: to train on, and to predict."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, features

from compressor_lib.deployment.gif import frame_sizes
from compressor_lib.deployment.images import decode_upright

MAX_PIXELS = 100_000_000

# Pillow knows dozens of formats, some of which start other programs (EPS): only images pass.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", *(("AVIF",) if features.check("avif") else ()))
_TOO_DEEP = ("I", "F")

# As a graph: op by op, to look for the orientation of a JPEG takes ten times as long.
_upright = tf.function(decode_upright, input_signature=[tf.TensorSpec([], tf.string)])

_PILLOWS_LIMIT = threading.Lock()


class UnreadableImage(ValueError):
    """Bytes that are no image, a damaged one, or one that is too large."""


class Decodable(NamedTuple):
    """An image that TensorFlow decodes.

    Attributes:
        encoded: The file's bytes, or a PNG in their place.
        is_converted: Whether it is a PNG in their place.
        sha256: Of its size and pixels, upright and in RGB: the same for every copy, whatever its file is like.
    """

    encoded: bytes
    is_converted: bool
    sha256: str


def decodable(encoded: bytes, max_pixels: int | None = MAX_PIXELS) -> Decodable:
    """Returns an image that ``decode_image`` reads, unchanged where it can be.

    JPEG, PNG and GIF (grey, palette and RGBA too) pass unchanged. What only Pillow reads becomes an upright RGB PNG,
    and so does every BMP: TensorFlow reads palette BMP without an error as wrong colours.

    Args:
        encoded: The file's content; its suffix does not matter.
        max_pixels: Most pixels; the header tells their number before any is decoded. All frames of a GIF count, as
            TensorFlow decodes them all to keep the first. None: any number.

    Returns:
        The encoded image, and what identifies it.

    Raises:
        UnreadableImage: Neither TensorFlow nor Pillow can decode it, or it is too large.
    """
    try:
        with opened(encoded) as image:
            width, height = image.size
            if max_pixels is not None and width * height > max_pixels:
                raise UnreadableImage(f"{width} x {height} pixels, more than max_pixels {max_pixels:,}")
            if max_pixels is not None and image.format == "GIF":
                _check_frames(encoded, max_pixels)
            pixels = None if image.format == "BMP" else _decoded(encoded)
            is_converted = pixels is None
            if pixels is None:
                encoded = _png(image)
                pixels = _upright(encoded).numpy()
    except UnreadableImage:
        raise
    except Exception as error:  # Damaged files make Pillow raise almost anything.
        raise UnreadableImage(_reason(encoded, error)) from error
    sha256 = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    return Decodable(encoded, is_converted, sha256)


def opened(encoded: bytes) -> Image.Image:
    """Opens an image without Pillow's own limit of pixels, which would be in the way of a larger one, or of none.

    Raises:
        OSError: It is no image of a format that is read here.
    """
    with _PILLOWS_LIMIT:  # it is the whole process's, whose other code keeps it
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(encoded), formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_frames(encoded: bytes, max_pixels: int) -> None:
    frames = [width * height for width, height in frame_sizes(encoded)]
    if sum(frames) > max_pixels:
        raise UnreadableImage(
            f"{len(frames)} frames of {sum(frames):,} pixels together, more than max_pixels {max_pixels:,}"
        )


def _decoded(encoded: bytes) -> np.ndarray | None:
    """Pixels as TensorFlow decodes them; None if it cannot."""
    try:
        return _upright(encoded).numpy()
    except tf.errors.InvalidArgumentError:
        return None


def _png(image: Image.Image) -> bytes:
    if image.mode in _TOO_DEEP:
        raise UnreadableImage("pixels of more than 16 bits")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):  # Pillow would cut off what is above 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    png = io.BytesIO()
    upright.convert("RGB").save(png, "PNG")
    return png.getvalue()


def _reason(encoded: bytes, error: Exception) -> str:
    if not encoded:
        return "empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return str(error) or type(error).__name__
