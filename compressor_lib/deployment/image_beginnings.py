"""The first bytes of image files, which identify files without a suffix. Does not import TensorFlow."""

from __future__ import annotations

import re

LONGEST = 32
"""Number of bytes needed to identify a file."""

_BEGINNINGS = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # BMP: the size of its second header
    rb"|RIFF.{4}WEBP"
    rb"|II\*\0|MM\0\*"  # TIFF
    rb"|P[1-6]\s"  # PBM, PGM, PPM
    rb"|.{4}ftyp(?:avi|hei|hev|mif1|msf1)",  # AVIF and HEIF
    re.DOTALL,
)


def begins_like_image(beginning: bytes) -> bool:
    """Returns whether a file is an image, supported or not, by its first :data:`LONGEST` bytes."""
    return _BEGINNINGS.match(beginning) is not None
