"""Spans: folders of data that arrive one after the other. A run reads the newest span, or a window of newest spans.

TFX's ``RollingRange`` gives the size of a window, but its drivers select a single span, and a Resolver that selects the
Examples of several spans returns several artifacts, while the downstream components take one. So the driver here finds
the whole window and joins its patterns into the single pattern of the input. The executors read all spans into one
artifact.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import tensorflow as tf
from tfx.components.example_gen import driver, input_processor
from tfx.proto import example_gen_pb2, range_config_pb2

from components.storage.listing import files_under, fingerprint, is_folder, listed, printable
from components.storage.tfx_hooks import SpanProcessor
from compressor_lib.errors import CompressorError

FILES_PATTERN = "*"
"""The end of a pattern: all files of a folder. The rest is a literal path, except for specs such as ``{SPAN}``."""

_SEPARATOR = "//"  # never occurs in a path joined from parts
_SPEC = re.compile(
    r"\{(?:(?P<span>SPAN)|(?P<version>VERSION)|(?P<year>YYYY)|(?P<month>MM)|(?P<day>DD))(?::(?P<width>\d+))?\}"
)
_WIDTHS = {"year": 4, "month": 2, "day": 2}

_NOT_RECORDS = (
    *(".crc", ".csv", ".db", ".html", ".ini", ".json", ".log", ".md", ".pbtxt", ".tsv", ".txt", ".xml"),
    *(".yaml", ".yml"),
)


def rolling_range(window: int) -> range_config_pb2.RangeConfig | None:
    """Returns TFX's range for a window of the newest spans.

    Args:
        window: Number of spans, at least 1.

    Returns:
        The range for an ExampleGen; None for a window of 1, because the newest span is TFX's default.

    Raises:
        CompressorError: If the window is smaller than 1.
    """
    if window == 1:
        return None
    if window < 1:
        raise CompressorError(f"a window of {window} spans is empty: choose 1 or more.")
    return range_config_pb2.RangeConfig(rolling_range=range_config_pb2.RollingRange(num_spans=window))


def patterns_of(pattern: str) -> list[str]:
    """Splits the driver's joined pattern into the patterns of the window's spans, the oldest first."""
    return pattern.split(_SEPARATOR)


def folder_of(pattern: str, files: str = FILES_PATTERN) -> str:
    """Returns the folder of a pattern, relative to the data folder; empty for the data folder itself.

    Args:
        pattern: A pattern from :func:`patterns_of`.
        files: End of the pattern, which matches the files.
    """
    return pattern.removesuffix(files).rstrip("/")


def is_record_file(name: str) -> bool:
    """Returns whether a file is a TFRecord file, given its path in a span's folder.

    Other files that are often found beside TFRecords are not: ``_SUCCESS``, checksums, descriptions and label lists.
    """
    return "/" not in name and not name.startswith("_") and not name.lower().endswith(_NOT_RECORDS)


class InputProcessor(SpanProcessor):
    """Finds a window of spans. A pattern without ``{SPAN}`` or a date stands for a single folder, as span 0.

    Attributes:
        PATTERN: End of the input's pattern.
    """

    PATTERN = FILES_PATTERN

    def __init__(
        self,
        input_base_uri: str,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
    ) -> None:
        """Creates the processor without reading anything.

        Args:
            input_base_uri: The data folder.
            splits: The input's only split, whose pattern may have specs such as ``{SPAN}``.
            range_config: See :func:`rolling_range`; None for the newest span only.
        """
        for split in splits:  # "//" is the window's separator
            split.pattern = re.sub("/+", "/", split.pattern)
        super().__init__(input_base_uri, splits)
        self._split = self.only_split
        self._window_size = (range_config and range_config.rolling_range.num_spans) or 1
        self._window: list[tuple[int, int | None]] = []

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """Finds the window.

        Returns:
            Number and version of the window's newest span.

        Raises:
            CompressorError: If there is no span, a matching folder has no number in place of a spec, or the numbers are
                zero-padded and the spec has no width.
        """
        if not self.has_spans:
            self._window = [(0, None)]
            return 0, None
        try:
            found = self._all_spans()
        except ValueError as error:
            raise self._not_found(printable(str(error))) from error
        if not found:
            raise self._not_found("no folder matches, or all matching folders are empty")
        self._window = sorted(found.items())[-self._window_size :]
        for span in self._window:
            self._check_padding(*span)
        return self._window[-1]

    def get_pattern_for_span_version(self, pattern: str, span: int, version: int | None) -> str:
        """Returns the window's joined pattern (see :func:`patterns_of`). The newest span, from TFX, is not used."""
        filled = super().get_pattern_for_span_version
        return _SEPARATOR.join(filled(pattern, *one) for one in self._window)

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Returns a fingerprint of the names, sizes and modification times of the window's data files."""
        return fingerprint(self.data_folder, [name for folder in self.folders() for name in self._files(folder)])

    def folders(self) -> list[str]:
        """Returns the window's folders, relative to the data folder; ``""`` is the data folder itself."""
        filled = self.get_pattern_for_span_version(self._split.pattern, *self._window[-1])
        return [folder_of(pattern, self.PATTERN) for pattern in patterns_of(filled)]

    def is_data_file(self, folder: str, name: str) -> bool:
        """Returns whether a file belongs to the data.

        Args:
            folder: Folder of its span, relative to the data folder.
            name: Path in that folder.
        """
        return is_record_file(name)

    def _files(self, folder: str) -> Iterator[str]:
        for name in files_under(os.path.join(self.data_folder, folder)):
            if self.is_data_file(folder, name):
                yield os.path.join(folder, name)

    def _all_spans(self) -> dict[int, int | None]:
        """Returns the newest version of every span."""
        pattern = folder_of(self._split.pattern, self.PATTERN)
        regex = f"^{_regex(pattern)}$"
        found: dict[int, int | None] = {}
        for folder in self._matching_folders(pattern):
            span, version = self.span_in(folder, regex)
            found[span] = None if version is None else max(found.get(span) or version, version)
        return found

    def _matching_folders(self, pattern: str) -> list[str]:
        """Returns the non-empty folders that match a pattern, relative to the data folder."""
        found = [""]
        for part in pattern.split("/"):
            is_literal = _SPEC.search(part) is None
            names = [
                os.path.join(folder, name)
                for folder in found
                for name in ([part] if is_literal else self._listed(folder))
                if is_literal or re.fullmatch(_regex(part), name)
            ]
            found = [name for name in names if is_folder(os.path.join(self.data_folder, name))]
        return [folder for folder in found if self._holds(folder, self.PATTERN.count("*"))]

    def _holds(self, folder: str, depth: int) -> bool:
        """Returns whether a folder contains anything ``depth`` levels down."""
        names = [os.path.join(folder, name) for name in self._listed(folder)]
        return bool(names) if depth == 1 else any(self._holds(name, depth - 1) for name in names)

    def _listed(self, folder: str) -> list[str]:
        try:
            return listed(os.path.join(self.data_folder, folder))
        except (OSError, tf.errors.OpError):
            return []

    def _check_padding(self, span: int, version: int | None) -> None:
        """Raises an error if filling in the numbers does not give the folder's name, as with ``span-07``."""
        filled = super().get_pattern_for_span_version(self._split.pattern, span, version)
        if not is_folder(os.path.join(self.data_folder, folder_of(filled, self.PATTERN))):
            raise CompressorError(
                f"span number {span} exists in data folder {self.data_folder!r}, but nothing matches "
                f"{filled!r}. Zero-padded numbers need a width, such as span-{{SPAN:2}}."
            )

    def _not_found(self, why: str) -> CompressorError:
        span = self._split.pattern.partition("/")[0]
        return CompressorError(
            f"cannot find the newest span {span!r} in data folder {self.data_folder!r}: {why}. "
            "Name the folders after the pattern, with a number in place of {SPAN}."
        )


def _regex(pattern: str) -> str:
    """Returns a pattern as a regular expression, with a group for each spec, named as in TFX."""
    parts, end = [], 0
    for spec in _SPEC.finditer(pattern):
        name = next(name for name, value in spec.groupdict().items() if value)
        width = spec["width"] or _WIDTHS.get(name)
        parts += [re.escape(pattern[end : spec.start()]), f"(?P<{name}>{f'.{{{width}}}' if width else '.+'})"]
        end = spec.end()
    return "".join([*parts, re.escape(pattern[end:])])


class Driver(driver.FileBasedDriver):
    """TFX's driver of file-based ExampleGens, with windows of spans.

    Attributes:
        PROCESSOR: The processor that finds windows.
    """

    PROCESSOR = InputProcessor

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Returns the processor that finds windows."""
        assert input_base_uri
        return self.PROCESSOR(input_base_uri, splits, range_config)
