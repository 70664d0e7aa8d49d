"""Makes sure that what travels on can be decoded by TensorFlow."""

from __future__ import annotations

import io

import tensorflow as tf
from PIL import Image

# Pillow knows dozens of formats, some of which start other programs (EPS): only pictures pass.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


class UnreadablePicture(ValueError):
    """Bytes that are no picture, or a damaged one."""


def decodable(encoded: bytes) -> bytes:
    """Returns a picture that ``tf.io.decode_image`` reads, unchanged where it can be.

    JPEG, PNG and GIF (grey, palette and RGBA too) pass unchanged. What only Pillow reads becomes an
    RGB PNG, and so does every BMP: TensorFlow reads palette BMP without an error as wrong colours.

    Args:
        encoded: The file's content; its suffix does not matter.

    Returns:
        The encoded picture.

    Raises:
        UnreadablePicture: Neither TensorFlow nor Pillow can decode it.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            if image.format != "BMP" and _tensorflow_decodes(encoded):
                return encoded
            png = io.BytesIO()
            image.convert("RGB").save(png, "PNG")
            return png.getvalue()
    except Exception as error:  # Damaged files make Pillow raise almost anything.
        raise UnreadablePicture(_reason(encoded, error)) from error


def _tensorflow_decodes(encoded: bytes) -> bool:
    try:
        tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _reason(encoded: bytes, error: Exception) -> str:
    if not encoded:
        return "empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture"
    return str(error) or type(error).__name__
