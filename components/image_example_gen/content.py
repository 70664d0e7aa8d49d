"""Recognises image files without a suffix by their first bytes."""

from __future__ import annotations

import os

import tensorflow as tf
from tfx.dsl.io import fileio

from compressor_lib.deployment.image_beginnings import LONGEST, begins_like_image
from compressor_lib.deployment.image_suffixes import suffix_of


def is_image_without_suffix(path: str) -> bool:
    """Returns whether a file has no suffix and begins like an image.

    Also true for a file that cannot be opened, so that reading it reports the reason.

    Args:
        path: Path of a file, local or remote.
    """
    if suffix_of(path):
        return False
    is_remote = "://" in path
    if not is_remote and not os.path.isfile(path):  # reading a pipe would never end
        return False
    try:
        with fileio.open(path, "rb") if is_remote else open(path, "rb") as file:
            return begins_like_image(file.read(LONGEST))
    except (OSError, tf.errors.OpError):
        return True
