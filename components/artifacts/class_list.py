"""The classes of a model in the order of its outputs: how the list is determined, and the file that holds it.

The order of known classes never changes. A class of the pushed model keeps its index even without images, until the
user removes it. So an application with an older list of names still names the classes correctly.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from tfx.dsl.io import fileio

from compressor_lib.deployment.classes_file import CLASSES_FILE, format_classes, parse_classes
from compressor_lib.errors import CompressorError, nearest
from compressor_lib.networks.class_names import with_new_classes

logger = logging.getLogger(__name__)

REMOVED = "data.removed_classes"
"""The configuration field that removes classes from the list."""


def class_list(images: Mapping[str, Mapping[str, int]], known: Sequence[str], removed: Sequence[str]) -> list[str]:
    """Returns the classes of a run's models, in the order of their outputs.

    Args:
        images: Number of images by split and class.
        known: Classes of the pushed model, in order; empty if there is no pushed model.
        removed: Classes that the user removes.

    Returns:
        The known classes in their order, without the removed ones, then new classes in natural order.

    Raises:
        CompressorError: If a removed class has images, a removed name looks like a misspelt known class, or a name is
            not one line of text. Classes that were already removed are only logged.
    """
    counted = {name: count for counts in images.values() for name, count in counts.items() if count}
    for name in removed:
        if name in counted:
            count = sum(counts.get(name, 0) for counts in images.values())
            raise CompressorError(
                f"{REMOVED} names {name!r}, which still has {count:,} images: delete them, or remove the name."
            )
        if name not in known:
            if meant := nearest(name, gone_classes(images, known, removed)):
                raise CompressorError(
                    f"{REMOVED} names {name!r}, which is not a class of the pushed model. Did you mean {meant!r}?"
                )
            logger.warning("%s names %r, which is not a class of the pushed model: nothing to remove", REMOVED, name)
    for name in counted:
        if name.splitlines() != [name]:
            raise CompressorError(f"class name {name!r} is not one line of text: rename the class.")
    return with_new_classes((name for name in known if name not in removed), counted)


def gone_classes(images: Mapping[str, Mapping[str, int]], known: Sequence[str], removed: Sequence[str]) -> list[str]:
    """Returns the known classes without images that keep their indices, in the known order."""
    return [name for name in known if name not in removed and not any(counts.get(name) for counts in images.values())]


def how_to_remove(gone: Sequence[str], removed: Sequence[str] = ()) -> str:
    """Returns the command-line option that removes classes, in addition to those already removed."""
    names = json.dumps([*removed, *gone], ensure_ascii=False)
    return f"--set {shlex.quote(f'{REMOVED}={names}')}"


def read_class_list(folder: str) -> list[str]:
    """Reads the list in a folder in any store, normalised to Unicode NFC. Returns an empty list without a file.

    In a model from before names were normalised, two outputs may have the same name.

    Raises:
        CompressorError: If the file is not UTF-8.
    """
    path = os.path.join(folder, CLASSES_FILE)
    if not fileio.exists(path):
        return []
    with fileio.open(path, "rb") as file:
        return [unicodedata.normalize("NFC", name) for name in parse_classes(file.read(), path)]


def write_class_list(folder: str, names: Iterable[str]) -> None:
    """Writes a list to a folder in any store, for :func:`read_class_list`."""
    fileio.makedirs(folder)
    with fileio.open(os.path.join(folder, CLASSES_FILE), "wb") as file:
        file.write(format_classes(names))
