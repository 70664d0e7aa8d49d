"""Which files without a suffix are images, by their first bytes."""

from __future__ import annotations

import os
import re

import tensorflow as tf
from tfx.dsl.io import fileio

from compressor_lib.deployment.image_suffixes import suffix_of

_LONGEST = 32
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


def is_image_without_suffix(path: str) -> bool:
    """Returns whether a file has no suffix, and begins like an image.

    A file that cannot be opened is taken for one: where it is read, the reason is told.

    Args:
        path: A file, local or remote.
    """
    if suffix_of(path):
        return False
    is_remote = "://" in path
    if not is_remote and not os.path.isfile(path):  # a pipe would never end
        return False
    try:
        with fileio.open(path, "rb") if is_remote else open(path, "rb") as file:
            return _BEGINNINGS.match(file.read(_LONGEST)) is not None
    except (OSError, tf.errors.OpError):
        return True
