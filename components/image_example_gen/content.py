"""Which files without a suffix are images, by their first bytes."""

from __future__ import annotations

import os

import tensorflow as tf
from tfx.dsl.io import fileio

from compressor_lib.deployment.image_beginnings import LONGEST, begins_like_image
from compressor_lib.deployment.image_suffixes import suffix_of


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
            return begins_like_image(file.read(LONGEST))
    except (OSError, tf.errors.OpError):
        return True
