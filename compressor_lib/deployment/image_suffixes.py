"""Recognises image files by their suffixes. Does not import TensorFlow."""

from __future__ import annotations

import os

from PIL import features

_AVIF = (".avif",) if features.check("avif") else ()

READ = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"),
    *(".webp", *_AVIF),
)
"""Suffixes of supported image files in lower case: TensorFlow or Pillow decodes them."""

NOT_READ = (
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl"),
    *(".nef", ".orf", ".psd", ".raf", ".rw2", ".svg", ".tga"),
)
"""Suffixes of unsupported image files."""

WITHOUT = "without suffix"
"""The kind of files without a suffix. Their content shows whether they are images."""


def suffix_of(name: str) -> str:
    """Returns a file name's suffix in lower case, such as ``".jpg"``, or an empty string if it has none."""
    return os.path.splitext(name)[1].lower()


def kind_of(name: str) -> str:
    """Returns the kind of a file: its :func:`suffix_of`, or ``"without suffix"``."""
    return suffix_of(name) or WITHOUT


def is_read(name: str) -> bool:
    """Returns whether a file name has the suffix of a supported image."""
    return suffix_of(name) in READ


def is_image(name: str) -> bool:
    """Returns whether a file name has the suffix of an image, supported or not."""
    return suffix_of(name) in (*READ, *NOT_READ)
