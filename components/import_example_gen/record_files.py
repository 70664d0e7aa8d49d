"""Finds the TFRecord files of a data folder."""

from __future__ import annotations

import os
from collections import Counter

import tensorflow as tf

from components.storage.listing import is_folder, is_text, listed, printable
from components.storage.spans import folder_of, is_record_file, patterns_of
from compressor_lib.deployment.image_suffixes import kind_of
from compressor_lib.errors import CompressorError


def record_files(input_base: str, pattern: str) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Lists the TFRecord files of a data folder without opening them.

    Args:
        input_base: The data folder, local or remote.
        pattern: The pattern that the driver made from the input's pattern; see
            :func:`components.storage.spans.patterns_of`.

    Returns:
        The files, each as its span's folder (relative to the data folder) and its path, and the number of other files
        by suffix.

    Raises:
        CompressorError: If a folder cannot be listed, no file is found, or a file's name is not UTF-8.
    """
    files: list[tuple[str, str]] = []
    others: Counter[str] = Counter()
    for folder in map(folder_of, patterns_of(pattern)):
        at = os.path.join(input_base, folder).rstrip("/")
        try:
            names = [name for name in listed(at) if not is_folder(os.path.join(at, name))]
        except (OSError, tf.errors.OpError) as error:
            raise CompressorError(
                f"data folder {at!r} cannot be listed: {error}. Check the path and the permission."
            ) from error
        for name in names:
            if not is_record_file(name):
                others[printable(kind_of(name))] += 1
            elif is_text(name):
                files.append((folder, os.path.join(at, name)))
            else:
                raise CompressorError(
                    f"file '{printable(os.path.join(at, name))}' has a name that is not UTF-8: rename it."
                )
    if not files:
        raise CompressorError(
            f"data folder {input_base!r} holds no TFRecord files: check data.path and data.span_pattern."
        )
    return files, others
