"""Folders of labelled images: their layout, their content, and checks of both.

Two layouts are supported, each optionally inside span folders::

    flat        cat/1.jpg  dog/2.png
    pre-split   train/cat/1.jpg  eval/cat/2.jpg  test/cat/3.jpg
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import tensorflow as tf
from tfx.proto import example_gen_pb2

from components.image_example_gen.content import is_image_without_suffix
from components.storage import spans
from components.storage.listing import files_under, is_folder, is_text, listed, printable
from components.storage.stratified_split import split_counts
from compressor_lib.deployment.image_suffixes import READ, is_image, is_read, kind_of
from compressor_lib.errors import CompressorError
from compressor_lib.networks.class_label import class_label

logger = logging.getLogger(__name__)

IMAGES_PATTERN = "*/*"
"""All files of all class folders."""

_SHOWN_IN_ERROR = 5
_OTHER_NAMES = {"eval": ("validation", "val")}


class Image(NamedTuple):
    """One image file.

    Attributes:
        name: Path relative to the data folder, with forward slashes.
        label: Name of its class.
        split: Split of its folder; empty in a flat data folder.
        leads_out: Whether a symbolic link in its path leads out of the data folder.
        is_converted: Whether the file must be re-encoded for TensorFlow.
    """

    name: str
    label: str
    split: str = ""
    leads_out: bool = False
    is_converted: bool = False

    @property
    def class_folder(self) -> str:
        """Path of its class folder, ending in the class's name, because folders may spell it in several ways."""
        return "/".join((*self.name.split("/")[:-2], self.label))


class LeftOut(NamedTuple):
    """An image file that is not used.

    Attributes:
        file: Path relative to the data folder, with bytes that are not UTF-8 escaped.
        reason: Reason why it is not used.
        kind: What it is counted as, such as ``".heic"`` or ``".jpg in nested folders"``.
        label: Name of its class; empty outside class folders.
    """

    file: str
    reason: str
    kind: str
    label: str = ""


@dataclass
class Listing:
    """The content of a data folder.

    Attributes:
        images: Images that should be readable, judging by their names or first bytes; sorted by name.
        left_out: Images that are not used.
        others: Number of files that are not images, by suffix.
    """

    images: list[Image] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Number of images, used or not."""
        return len(self.images) + len(self.left_out)


class NamesInputProcessor(spans.InputProcessor):
    """Finds spans of images. Its fingerprint covers images at any depth and ignores all other files."""

    PATTERN = IMAGES_PATTERN

    def is_data_file(self, folder: str, name: str) -> bool:
        """Returns whether a file is an image, including images that are left out, because a run reports these."""
        return is_image(name) or is_image_without_suffix(os.path.join(self.data_folder, folder, name))


def images_split(span: str | None) -> example_gen_pb2.Input.Split:
    """Returns the description of the input that TFX's driver takes.

    Args:
        span: Pattern of the span folders with TFX's specs, such as ``"span-{SPAN}"``; None without spans.
    """
    return example_gen_pb2.Input.Split(name="images", pattern=f"{span}/{IMAGES_PATTERN}" if span else IMAGES_PATTERN)


def newest_spans(input_base: str, span: str | None, window: int = 1) -> list[str]:
    """Returns the span folders that the driver selects.

    Args:
        input_base: The data folder.
        span: See :func:`images_split`.
        window: Number of newest spans.

    Returns:
        The pattern of each span's images, relative to ``input_base``, the oldest first.

    Raises:
        CompressorError: If no folder matches, or a matching folder has no number.
    """
    split = images_split(span)
    processor = NamesInputProcessor(input_base, [split], spans.rolling_range(window))
    number, version = processor.resolve_span_and_version()
    return spans.patterns_of(processor.get_pattern_for_span_version(split.pattern, number, version))


def layout(input_base: str, pattern: str, splits: Iterable[str]) -> dict[str, str]:
    """Returns the layout of a folder.

    Args:
        input_base: The data folder.
        pattern: Pattern of its images, or of a span's images, written as if the folder were flat.
        splits: Names of the splits.

    Returns:
        The pattern of each split's files relative to ``input_base``, such as ``{"train": "train/*/*"}``. For a flat
        folder, its one pattern under an empty key: ``{"": "*/*"}``.

    Raises:
        CompressorError: See :func:`pre_split_folders`; also if the name of a class folder is not a valid class name.
    """
    folder = pattern.removesuffix(IMAGES_PATTERN)
    by_split = pre_split_folders(os.path.join(input_base, folder).rstrip("/"), splits)
    for root in by_split.values() or ("",):
        _classes(os.path.join(input_base, folder, root).rstrip("/"))
    if not by_split:
        return {"": pattern}
    return {split: f"{folder}{name}/{IMAGES_PATTERN}" for split, name in by_split.items()}


def pre_split_folders(folder: str, splits: Iterable[str]) -> dict[str, str]:
    """Returns the split folders of a pre-split folder.

    A folder is pre-split if one of its subfolders is named after a split and contains folders itself.

    Args:
        folder: The data folder, or a span folder in it.
        splits: Names of the splits.

    Returns:
        The name of each split's subfolder; empty for a flat folder.

    Raises:
        CompressorError: If the folder is missing, empty or cannot be listed, or if it is pre-split but lacks a split or
            has two folders for one split, such as ``eval`` and ``validation``.
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
                f"data folder {folder!r} has split folders, but split {split!r} is missing or has "
                f"no class folders. Add a folder {' or '.join(map(repr, names))}, or put all "
                "class folders directly into the data folder."
            )
        if len(folders) > 1:
            raise CompressorError(
                f"data folder {folder!r} has split {split!r} more than once: {', '.join(folders)}. Keep one of them."
            )
    return {split: folders[0] for split, folders in found.items()}


def list_images(input_base: str, layouts: Iterable[Mapping[str, str]]) -> Listing:
    """Lists a data folder's images. Only files without a suffix are opened, to read their first bytes.

    Hidden files are ignored. Images outside class folders, in nested folders, in unsupported formats, or with names
    that are not UTF-8 are left out and listed. Other files are counted.

    Args:
        input_base: The data folder, local or remote.
        layouts: Result of :func:`layout` for the folder, or for each span of a window.

    Returns:
        The images, and the files left out.

    Raises:
        CompressorError: If the folder is missing or has no class folders, only one class, or a class without images; or
            if the classes differ between splits.
    """
    real_base = _real(input_base)
    listing = Listing()
    for patterns in layouts:
        classes: dict[str, set[str]] = {}
        for split, pattern in patterns.items():
            root = pattern.removesuffix(IMAGES_PATTERN).rstrip("/")
            folder = os.path.join(input_base, root).rstrip("/")
            by_label = _classes(folder)
            classes[split] = set(by_label)
            for label, names in by_label.items():
                for name in names:
                    _list_class(listing, input_base, "/".join(filter(None, (root, name))), label, split, real_base)
            for name in listed(folder):
                if not is_folder(os.path.join(folder, name)):
                    _leave_out(listing, input_base, "/".join(filter(None, (root, name))), "outside class folders")
        _check_classes(input_base, classes)
    labels = {image.label for image in listing.images}
    if len(labels) == 1:
        raise CompressorError(
            f"data folder {input_base!r} has a single class, {min(labels)!r}. "
            "A classifier needs at least two class folders."
        )
    listing.images.sort()
    return listing


def check_left_out(input_base: str, left_out: Sequence[LeftOut], total: int, max_bad_share: float) -> None:
    """Raises an error if too many images of a folder are left out.

    Args:
        input_base: The data folder.
        left_out: Its images that are not used.
        total: Number of its images, used or not.
        max_bad_share: Largest share that may be left out, 0..1.

    Raises:
        CompressorError: If the share is larger.
    """
    if len(left_out) > max_bad_share * total:
        shown = [f"{one.file} ({one.reason})" for one in left_out[:_SHOWN_IN_ERROR]]
        if len(left_out) > len(shown):
            shown.append("...")
        raise CompressorError(
            f"{len(left_out)} of {total} images in data folder {input_base!r} cannot be used "
            f"({by_kind(left_out)}), more than max_bad_share {max_bad_share} allows: "
            f"{', '.join(shown)}. Repair, convert or delete them, or raise max_bad_share."
        )


def check_counts(images: Iterable[Image], shares: Mapping[str, int], skipped: Iterable[str] = ()) -> None:
    """Raises an error if a class has too few images to give every split at least one.

    Args:
        images: All images.
        shares: Relative size of each split, by name.
        skipped: Names of the images that cannot be used.

    Raises:
        CompressorError: If a class has too few images.
    """
    skipped = set(skipped)
    folders: dict[str, Counter[tuple[str, str]]] = {}
    for image in images:
        of_class = folders.setdefault(image.label, Counter())
        of_class[image.class_folder, image.split] += image.name not in skipped
    for label, counts in folders.items():
        in_split: Counter[str] = Counter()
        for (_, split), count in counts.items():
            in_split.update({split: count} if split else split_counts(count, shares))
        empty = [split for split in shares if not in_split[split]]
        if empty:
            total = counts.total()
            where, needed = "", f"one for each of the splits {', '.join(shares)}"
            if all(split for _, split in counts):
                total, where, needed = 0, f" in split {empty[0]!r}", "at least one"
            elif len(counts) > 1:
                needed += " in one of the spans"
            raise CompressorError(
                f"class {label!r} has {total} {'readable ' if skipped else ''}image(s){where}, "
                f"but needs {needed}. Add images or delete the class."
            )


def _list_class(listing: Listing, input_base: str, at: str, label: str, split: str, real_base: str) -> None:
    """Adds the content of one class folder to the listing. ``at`` is the folder's path relative to the data folder."""
    folder = os.path.join(input_base, at)
    before = len(listing.images), len(listing.left_out)
    for name in listed(folder):
        path = os.path.join(folder, name)
        if not is_image(name) and is_folder(path):
            for nested in files_under(path):
                _leave_out(listing, input_base, f"{at}/{name}/{nested}", "in nested folders", label)
        elif is_text(name) and (is_read(name) or is_image_without_suffix(path)):
            leads_out = not _is_inside(path, real_base)
            listing.images.append(Image(f"{at}/{name}", label, split, leads_out))
        else:
            _leave_out(listing, input_base, f"{at}/{name}", "", label)
    if len(listing.images) == before[0]:
        others = listing.left_out[before[1] :]
        found = f"; {len(others)} images in it are left out ({by_kind(others)})" if others else ""
        raise CompressorError(
            f"class folder {folder!r} has no images in a supported format ({', '.join(READ)}){found}. "
            "Add images or delete the folder."
        )


def _leave_out(listing: Listing, input_base: str, name: str, where: str, label: str = "") -> None:
    """Records a file that is not used. ``where`` is its location if that is the reason; empty for its format."""
    suffix = kind_of(name)
    if not is_image(name) and not is_image_without_suffix(os.path.join(input_base, name)):
        listing.others[printable(suffix)] += 1
        return
    if not is_text(name):
        reason, kind = "its name is not UTF-8: rename it", f"{suffix} with a name that is not UTF-8"
    elif where:
        reason, kind = f"{where}: move it into a class folder", f"{suffix} {where}"
    else:
        reason, kind = f"{suffix} is not supported: convert it to JPEG or PNG", suffix
    listing.left_out.append(LeftOut(printable(name), reason, kind, label))


def by_kind(left_out: Iterable[LeftOut]) -> str:
    """Counts left-out images by kind, as text.

    Args:
        left_out: The images.

    Returns:
        The counts, the largest first.

    Example:
        >>> by_kind([LeftOut("1.heic", "", ".heic"), LeftOut("2.heic", "", ".heic"), LeftOut("3.svg", "", ".svg")])
        '2 .heic, 1 .svg'
    """
    return ", ".join(f"{count} {kind}" for kind, count in Counter(one.kind for one in left_out).most_common())


def _check_classes(input_base: str, classes: Mapping[str, set[str]]) -> None:
    """Raises an error if the splits do not all have the same classes."""
    first, *others = classes
    for other in others:
        for here, there in ((other, first), (first, other)):
            missing = sorted(classes[here] - classes[there])
            if missing:
                raise CompressorError(
                    f"class {missing[0]!r} is in split {here!r} but not in split {there!r} of data "
                    f"folder {input_base!r}. Every split needs a folder for every class."
                )


def _classes(folder: str) -> dict[str, list[str]]:
    """Returns the names of a folder's class folders, by class, sorted by class.

    A class has several folders if their names are spellings of the same name, such as two Unicode forms.
    """
    classes: dict[str, list[str]] = {}
    for name in _class_folders(folder):
        try:
            label = class_label(name)
        except CompressorError as error:
            raise CompressorError(f"class folder '{printable(os.path.join(folder, name))}': {error}") from error
        classes.setdefault(label, []).append(name)
    for label, names in classes.items():
        if names != [label]:
            logger.info("%s: class %r is in the folders %s", folder, label, ", ".join(map(ascii, names)))
    return dict(sorted(classes.items()))


def _class_folders(folder: str) -> list[str]:
    """Returns the names of the subfolders; raises an error if there are none."""
    try:
        if not is_folder(folder):
            raise CompressorError(
                f"data folder {folder!r} does not exist. Give a folder that has one subfolder of images for each class."
            )
        names = _folders(folder)
    except (OSError, tf.errors.OpError) as error:
        raise CompressorError(
            f"data folder {folder!r} cannot be listed: {error}. Check the path and the permission."
        ) from error
    if not names:
        raise CompressorError(
            f"data folder {folder!r} has no class folders. "
            "Put the images of each class into a subfolder named after the class."
        )
    return names


def _folders(folder: str) -> list[str]:
    return [name for name in listed(folder) if is_folder(os.path.join(folder, name))]


def _real(path: str) -> str:
    return path if "://" in path else os.path.realpath(path)


def _is_inside(path: str, real_base: str) -> bool:
    return _real(path).startswith(os.path.join(real_base, ""))
