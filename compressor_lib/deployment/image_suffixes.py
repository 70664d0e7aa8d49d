"""Which files count as images, by the end of their names; TensorFlow is not imported."""

from __future__ import annotations

import os

from PIL import features

_AVIF = (".avif",) if features.check("avif") else ()

READ = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"),
    *(".webp", *_AVIF),
)
"""Images that are read, in small letters: what TensorFlow or Pillow decodes."""

NOT_READ = (
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl"),
    *(".nef", ".orf", ".psd", ".raf", ".rw2", ".svg", ".tga"),
)
"""Images that are not read."""

WITHOUT = "without suffix"
"""What a file whose name has none is counted as. Whether it is an image, its content tells."""


def suffix_of(name: str) -> str:
    """Returns the end of a file's name in small letters, such as ``".jpg"``; empty if it has none."""
    return os.path.splitext(name)[1].lower()


def kind_of(name: str) -> str:
    """Returns what a file is counted as: its :func:`suffix_of`, or ``"without suffix"``."""
    return suffix_of(name) or WITHOUT


def is_read(name: str) -> bool:
    """Returns whether a file of this name is taken for an image that can be read."""
    return suffix_of(name) in READ


def is_image(name: str) -> bool:
    """Returns whether a file of this name is an image, read or not."""
    return suffix_of(name) in (*READ, *NOT_READ)
