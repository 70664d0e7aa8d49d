"""The classes of the pushed model, whose indices in its output must not change."""

from __future__ import annotations

import logging
import os

import tensorflow as tf
from tfx.dsl.io import fileio

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import WITHDRAWN, family_in, versions
from compressor_lib.deployment.export import EXTRA
from compressor_lib.errors import CompressorError, first_line

logger = logging.getLogger(__name__)


def pushed_classes(push_directory: str) -> list[str]:
    """Returns every class that was pushed, in the order of the currently served model, of a family's longest.

    Applications may still know a version that has been withdrawn (by ``compressor rollback``), so classes that only
    such a version has are appended.

    Args:
        push_directory: The push directory, in any store.

    Returns:
        The names in Unicode NFC, without duplicates; empty if no model was pushed.

    Raises:
        CompressorError: If the push directory cannot be read.
    """
    try:
        family = [os.path.join(push_directory, name) for name in family_in(push_directory)]
        lists = [_pushed_classes(directory) for directory in (push_directory, *family)]
    except (OSError, tf.errors.OpError) as error:
        cause = first_line(error)
        raise CompressorError(
            f"push directory {push_directory!r} cannot be read ({cause}): check push.directory, and the right to read "
            "there."
        ) from error

    # New classes come last, so the lists of the models that were pushed earlier are beginnings of the longest.
    lists.sort(key=len, reverse=True)
    return list(dict.fromkeys(name for names in lists for name in names))


def _pushed_classes(push_directory: str) -> list[str]:
    serving = versions(push_directory)
    newest = 0
    names: list[str] = []
    for newest in reversed(serving):
        if names := read_class_list(os.path.join(push_directory, str(newest), EXTRA)):
            break
        logger.warning("version %s in %s has no list of classes", newest, push_directory)
    for number in sorted(_withdrawn(push_directory)):
        if number > newest:
            withdrawn = read_class_list(os.path.join(push_directory, f"{WITHDRAWN}{number}", EXTRA))
            names += [name for name in withdrawn if name not in names]
    return list(dict.fromkeys(names))


def _withdrawn(push_directory: str) -> list[int]:
    if not fileio.isdir(push_directory):
        return []
    names = [name.rstrip("/").removeprefix(WITHDRAWN) for name in fileio.listdir(push_directory) if WITHDRAWN in name]
    return [int(name) for name in names if name.isdigit()]
