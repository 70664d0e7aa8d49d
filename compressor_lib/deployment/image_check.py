"""Checks that TensorFlow can decode an image within a limit of pixels, for training and prediction."""

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

# Pillow supports dozens of formats, some of which start other programs (EPS). Only these are allowed.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", *(("AVIF",) if features.check("avif") else ()))
_TOO_DEEP = ("I", "F")

# A graph, because reading a JPEG's orientation eagerly takes ten times as long.
_upright = tf.function(decode_upright, input_signature=[tf.TensorSpec([], tf.string)])

_PILLOWS_LIMIT = threading.Lock()


class UnreadableImage(ValueError):
    """Raised for bytes that are not an image, are damaged, or hold too large an image."""


class Decodable(NamedTuple):
    """An image that TensorFlow can decode.

    Attributes:
        encoded: The original file, or a PNG that replaces it.
        is_converted: Whether it is a PNG that replaces the original file.
        sha256: Hash of the size and the upright RGB pixels. Copies of an image have the same hash, whatever their file
            format.
    """

    encoded: bytes
    is_converted: bool
    sha256: str


def decodable(encoded: bytes, max_pixels: int | None = None) -> Decodable:
    """Returns an image that ``decode_image`` reads, without changing the file if possible.

    JPEG, PNG and GIF (including greyscale, palette and RGBA) are not changed. Formats that only Pillow reads become
    upright RGB PNGs. So does every BMP, because TensorFlow decodes palette BMPs to wrong colours without an error.

    Args:
        encoded: The file's content. Its suffix does not matter.
        max_pixels: Maximum number of pixels, checked against the file's header before decoding. All frames of a GIF
            count, because TensorFlow decodes them all to keep the first. None for any number.

    Returns:
        The encoded image and its hash.

    Raises:
        UnreadableImage: If neither TensorFlow nor Pillow can decode the image, or it is too large.
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
    except Exception as error:  # damaged files make Pillow raise almost any exception
        raise UnreadableImage(_reason(encoded, error)) from error
    sha256 = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    return Decodable(encoded, is_converted, sha256)


def opened(encoded: bytes) -> Image.Image:
    """Opens an image without Pillow's own limit of pixels, so that only ``max_pixels`` applies.

    Raises:
        OSError: If the file is not an image in a supported format.
    """
    with _PILLOWS_LIMIT:  # the limit is global, and other code relies on it
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
    """Returns the pixels as TensorFlow decodes them, or None if it cannot decode the image."""
    try:
        return _upright(encoded).numpy()
    except tf.errors.InvalidArgumentError:
        return None


def _png(image: Image.Image) -> bytes:
    if image.mode in _TOO_DEEP:
        raise UnreadableImage("pixels of more than 16 bits")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):  # Pillow would clip values above 255
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
