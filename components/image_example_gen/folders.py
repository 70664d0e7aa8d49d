"""Folders of labelled pictures: their layout, what they hold, and what is wrong with them.

Two layouts are known, each optionally inside span folders::

    flat        cat/1.jpg  dog/2.png
    pre-split   train/cat/1.jpg  eval/cat/2.jpg  test/cat/3.jpg
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2

from components import spans
from components.image_example_gen.dealing import counts_of
from compressor_lib.deployment.image_suffixes import SUFFIXES
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

PICTURES_PATTERN = "*/*"
_OTHER_NAMES = {"eval": ("validation", "val")}


class Picture(NamedTuple):
    """One picture file.

    Attributes:
        name: Path relative to the data folder, with forward slashes.
        label: Name of its class.
        split: Split whose folder holds it; empty in a flat folder.
        leads_out: Whether it is reached by a symbolic link that leaves the data folder.
        is_converted: Whether TensorFlow needs another encoding of it than the file's.
    """

    name: str
    label: str
    split: str = ""
    leads_out: bool = False
    is_converted: bool = False

    @property
    def class_folder(self) -> str:
        """Path of the folder that holds it: that of its class, in its span and its split."""
        return self.name.rpartition("/")[0]


def pictures_split(span: str | None) -> example_gen_pb2.Input.Split:
    """The input that TFX's driver looks for.

    Args:
        span: Pattern of the span folders with TFX's specs, such as ``"span-{SPAN}"``; None: there are none.
    """
    return example_gen_pb2.Input.Split(
        name="pictures", pattern=f"{span}/{PICTURES_PATTERN}" if span else PICTURES_PATTERN
    )


def newest_spans(input_base: str, span: str | None, window: int | None) -> list[str]:
    """Finds the span folders that the driver takes.

    Args:
        input_base: The data folder.
        span: As for :func:`pictures_split`.
        window: How many of the newest; None: the one.

    Returns:
        For each the pattern of its pictures relative to ``input_base``, the oldest first.

    Raises:
        CompressorError: No folder matches, or a matching one has no number.
    """
    split = pictures_split(span)
    processor = spans.InputProcessor(input_base, [split], spans.rolling_range(window))
    number, version = processor.resolve_span_and_version()
    return spans.patterns_of(processor.get_pattern_for_span_version(split.pattern, number, version))


def layout(input_base: str, pattern: str, splits: Iterable[str]) -> dict[str, str]:
    """Tells how a folder is laid out.

    Args:
        input_base: The data folder.
        pattern: Its pictures, or those of a span in it, as if the folder were flat.
        splits: Names of the splits.

    Returns:
        For every split the pattern of its files relative to ``input_base``, such as
        ``{"train": "train/*/*"}``; for a flat folder the one pattern, under an empty key.

    Raises:
        CompressorError: As in :func:`pre_split_folders`.
    """
    folder = pattern.removesuffix(PICTURES_PATTERN)
    by_split = pre_split_folders(os.path.join(input_base, folder).rstrip("/"), splits)
    if not by_split:
        return {"": pattern}
    return {split: f"{folder}{name}/{PICTURES_PATTERN}" for split, name in by_split.items()}


def pre_split_folders(folder: str, splits: Iterable[str]) -> dict[str, str]:
    """Tells a pre-split folder from a flat one.

    A sub-folder that is named after a split and holds folders itself makes a folder pre-split.

    Args:
        folder: The data folder, or the span in it.
        splits: Names of the splits.

    Returns:
        The sub-folder's name for every split; empty for a flat folder.

    Raises:
        CompressorError: The folder is missing, empty, cannot be listed, or is pre-split but lacks
            a split or has it twice.
    """
    subfolders = {name.lower(): name for name in _class_folders(folder)}
    found: dict[str, list[str]] = {}
    for split in splits:
        names = (split, *_OTHER_NAMES.get(split, ()))
        candidates = [subfolders[name] for name in names if name in subfolders]
        found[split] = [name for name in candidates if _folders(os.path.join(folder, name))]
    if not any(found.values()):
        return {}
    for split, folders in found.items():
        names = (split, *_OTHER_NAMES.get(split, ()))
        if not folders:
            raise CompressorError(
                f"data folder {folder!r} is split already, but split {split!r} is missing or has "
                f"no class folders. Add a folder {' or '.join(map(repr, names))}, or put all "
                "class folders directly into the data folder."
            )
        if len(folders) > 1:
            raise CompressorError(
                f"data folder {folder!r} has split {split!r} more than once: {', '.join(folders)}. Keep one of them."
            )
    return {split: folders[0] for split, folders in found.items()}


def list_pictures(input_base: str, layouts: Iterable[Mapping[str, str]]) -> list[Picture]:
    """Lists a data folder's pictures. Nothing is opened.

    Hidden files, nested folders and files without a picture's suffix are left out.

    Args:
        input_base: The data folder, local or remote.
        layouts: What :func:`layout` tells of it, or of each span of a window.

    Returns:
        The pictures, sorted by name.

    Raises:
        CompressorError: The folder is missing, has no class folders, a single class, or a class
            without pictures; or the classes differ between the splits.
    """
    real_base = _real(input_base)
    pictures: list[Picture] = []
    for patterns in layouts:
        classes: dict[str, set[str]] = {}
        for split, pattern in patterns.items():
            root = pattern.removesuffix(PICTURES_PATTERN).rstrip("/")
            classes[split] = set(_class_folders(os.path.join(input_base, root)))
            for label in sorted(classes[split]):
                pictures += _pictures_of_class(input_base, root, label, split, real_base)
        _check_classes(input_base, classes)
    labels = {picture.label for picture in pictures}
    if len(labels) == 1:
        raise CompressorError(
            f"data folder {input_base!r} has a single class, {min(labels)!r}. "
            "A classifier needs at least two class folders."
        )
    return sorted(pictures)


def check_counts(pictures: Iterable[Picture], shares: Mapping[str, int], skipped: Iterable[str] = ()) -> None:
    """Refuses classes that cannot give every split at least one picture.

    Args:
        pictures: All pictures.
        shares: Share of every split.
        skipped: Names of the pictures that cannot be used.

    Raises:
        CompressorError: A class has too few pictures.
    """
    skipped = set(skipped)
    folders: dict[str, Counter[tuple[str, str]]] = {}
    for picture in pictures:
        of_class = folders.setdefault(picture.label, Counter())
        of_class[picture.class_folder, picture.split] += picture.name not in skipped
    for label, counts in folders.items():
        in_split: Counter[str] = Counter()
        for (_, split), count in counts.items():
            in_split.update({split: count} if split else counts_of(count, shares))
        empty = [split for split in shares if not in_split[split]]
        if empty:
            total = counts.total()
            where, needed = "", f"one for each of the splits {', '.join(shares)}"
            if all(split for _, split in counts):
                total, where, needed = 0, f" in split {empty[0]!r}", "at least one"
            elif len(counts) > 1:
                needed += " in one of the spans"
            raise CompressorError(
                f"class {label!r} has {total} {'readable ' if skipped else ''}picture(s){where}, "
                f"and needs {needed}. Add pictures or delete the class."
            )


def _pictures_of_class(input_base: str, root: str, label: str, split: str, real_base: str) -> list[Picture]:
    folder = os.path.join(input_base, root, label)
    names = _picture_names(folder)
    if not names:
        raise CompressorError(
            f"class folder {folder!r} holds no pictures ({', '.join(SUFFIXES)}). Add pictures or delete the folder."
        )
    return [
        Picture(
            name="/".join(filter(None, (root, label, name))),
            label=label,
            split=split,
            leads_out=not _inside(os.path.join(folder, name), real_base),
        )
        for name in names
    ]


def _check_classes(input_base: str, classes: Mapping[str, set[str]]) -> None:
    first, *others = classes
    for other in others:
        for here, there in ((other, first), (first, other)):
            missing = sorted(classes[here] - classes[there])
            if missing:
                raise CompressorError(
                    f"class {missing[0]!r} is in split {here!r} but not in split {there!r} of data "
                    f"folder {input_base!r}. Every split needs a folder of every class."
                )


def _class_folders(folder: str) -> list[str]:
    try:
        if not fileio.isdir(folder):
            raise CompressorError(
                f"data folder {folder!r} does not exist. "
                "Give a folder that has one sub-folder of pictures for each class."
            )
        names = _folders(folder)
    except (OSError, tf.errors.OpError) as error:
        raise CompressorError(
            f"data folder {folder!r} cannot be listed: {error}. Check the path and the permission."
        ) from error
    if not names:
        raise CompressorError(
            f"data folder {folder!r} has no class folders. "
            "Put the pictures of each class into a sub-folder named after the class."
        )
    return names


def _folders(folder: str) -> list[str]:
    return [name for name in _listed(folder) if fileio.isdir(os.path.join(folder, name))]


def _picture_names(folder: str) -> list[str]:
    names = _listed(folder)
    pictures = [name for name in names if name.lower().endswith(SUFFIXES)]
    if len(pictures) < len(names):
        others = sorted(set(names) - set(pictures))
        logger.info("%s: left out %d that are no pictures: %s", folder, len(others), others[:5])
    return pictures


def _listed(folder: str) -> list[str]:
    # Object stores list folders with a slash at the end.
    names = (name.rstrip("/") for name in fileio.listdir(folder))
    return sorted(name for name in names if name and not name.startswith("."))


def _real(path: str) -> str:
    return path if "://" in path else os.path.realpath(path)


def _inside(path: str, real_base: str) -> bool:
    return _real(path).startswith(os.path.join(real_base, ""))
