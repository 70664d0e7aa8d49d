"""Spans: folders of data that arrive one after the other; a run reads the newest, or a window of the last ones.

TFX's ``RollingRange`` says how many, but its drivers take one span alone, and a Resolver that picks the Examples of
several gives several artifacts, where the components behind take one. So the driver here finds the whole window, and
joins its patterns into the one pattern of the input; the executors read them all into one artifact.
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
"""What a pattern ends in: the files of a folder. What is before is a path, literally but for TFX's specs."""

_SEPARATOR = "//"  # which is in no path that was made of parts
_SPEC = re.compile(
    r"\{(?:(?P<span>SPAN)|(?P<version>VERSION)|(?P<year>YYYY)|(?P<month>MM)|(?P<day>DD))(?::(?P<width>\d+))?\}"
)
_WIDTHS = {"year": 4, "month": 2, "day": 2}

_NO_RECORDS = (
    *(".crc", ".csv", ".db", ".html", ".ini", ".json", ".log", ".md", ".pbtxt", ".tsv", ".txt", ".xml"),
    *(".yaml", ".yml"),
)


def rolling_range(window: int) -> range_config_pb2.RangeConfig | None:
    """TFX's way to ask for the last spans.

    Args:
        window: How many, at least 1.

    Returns:
        The range for an ExampleGen.

    Raises:
        CompressorError: If there are to be less than one.
    """
    if window == 1:
        return None
    if window < 1:
        raise CompressorError(f"a window of {window} spans holds nothing: choose 1 or more.")
    return range_config_pb2.RangeConfig(rolling_range=range_config_pb2.RollingRange(num_spans=window))


def patterns_of(pattern: str) -> list[str]:
    """The patterns of all spans of a window, the oldest first, from what the driver made of the input's pattern."""
    return pattern.split(_SEPARATOR)


def folder_of(pattern: str, files: str = FILES_PATTERN) -> str:
    """The folder of a pattern, relative to the data folder; empty for the data folder itself.

    Args:
        pattern: One of :func:`patterns_of`.
        files: What it ends in.
    """
    return pattern.removesuffix(files).rstrip("/")


def is_record_file(name: str) -> bool:
    """Returns whether a file, by its path in a span's folder, is taken for TFRecords.

    What writers of TFRecords leave beside them is not: ``_SUCCESS``, checksums, descriptions and lists of labels.
    """
    return "/" not in name and not name.startswith("_") and not name.lower().endswith(_NO_RECORDS)


class InputProcessor(SpanProcessor):
    """Finds a window of spans; without ``{SPAN}`` or a date in the pattern there is one, without number.

    Attributes:
        PATTERN: What the input's pattern ends in.
    """

    PATTERN = FILES_PATTERN

    def __init__(
        self,
        input_base_uri: str,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
    ) -> None:
        """Looks at nothing yet.

        Args:
            input_base_uri: The data folder.
            splits: The input's only split, whose pattern has TFX's specs.
            range_config: See :func:`rolling_range`; None for the newest span alone.
        """
        for split in splits:  # "//" is the window's separator
            split.pattern = re.sub("/+", "/", split.pattern)
        super().__init__(input_base_uri, splits)
        self._split = self.only_split
        self._most = (range_config and range_config.rolling_range.num_spans) or 1
        self._window: list[tuple[int, int | None]] = []

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """Finds the window.

        Returns:
            Number and version of its newest span.

        Raises:
            CompressorError: If there is no span, or one without a number.
        """
        if not self.has_spans:
            self._window = [(0, None)]
            return 0, None
        try:
            found = self._all_spans()
        except ValueError as error:
            raise self._not_found(printable(str(error))) from error
        if not found:
            raise self._not_found("no folder is named like that, or none holds anything")
        self._window = sorted(found.items())[-self._most :]
        for span in self._window:
            self._check_padding(*span)
        return self._window[-1]

    def get_pattern_for_span_version(self, pattern: str, span: int, version: int | None) -> str:
        """The pattern of the window that was found, whatever its newest span; see :func:`patterns_of`."""
        filled = super().get_pattern_for_span_version
        return _SEPARATOR.join(filled(pattern, *one) for one in self._window)

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Names, sizes and times of all files of the window that count."""
        return fingerprint(self.data_folder, [name for folder in self.folders() for name in self._files(folder)])

    def folders(self) -> list[str]:
        """The window's folders, relative to the data folder; an empty one is the data folder itself."""
        filled = self.get_pattern_for_span_version(self._split.pattern, *self._window[-1])
        return [folder_of(pattern, self.PATTERN) for pattern in patterns_of(filled)]

    def counts(self, folder: str, name: str) -> bool:
        """Returns whether a file is data.

        Args:
            folder: Its span's folder, relative to the data folder.
            name: Its path there.
        """
        return is_record_file(name)

    def _files(self, folder: str) -> Iterator[str]:
        for name in files_under(os.path.join(self.data_folder, folder)):
            if self.counts(folder, name):
                yield os.path.join(folder, name)

    def _all_spans(self) -> dict[int, int | None]:
        """The newest version of every span."""
        pattern = folder_of(self._split.pattern, self.PATTERN)
        regex = f"^{_regex(pattern)}$"
        found: dict[int, int | None] = {}
        for folder in self._matching_folders(pattern):
            span, version = self.span_in(folder, regex)
            found[span] = None if version is None else max(found.get(span) or version, version)
        return found

    def _matching_folders(self, pattern: str) -> list[str]:
        """The folders that hold something, which a pattern's parts match, relative to the data folder."""
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
        """Whether there is anything at a depth of a folder."""
        names = [os.path.join(folder, name) for name in self._listed(folder)]
        return bool(names) if depth == 1 else any(self._holds(name, depth - 1) for name in names)

    def _listed(self, folder: str) -> list[str]:
        try:
            return listed(os.path.join(self.data_folder, folder))
        except (OSError, tf.errors.OpError):
            return []

    def _check_padding(self, span: int, version: int | None) -> None:
        filled = super().get_pattern_for_span_version(self._split.pattern, span, version)
        if not is_folder(os.path.join(self.data_folder, folder_of(filled, self.PATTERN))):
            raise CompressorError(
                f"there is a span of the number {span} in data folder {self.data_folder!r}, but nothing matches "
                f"{filled!r}. Zero-padded numbers need a width, such as span-{{SPAN:2}}."
            )

    def _not_found(self, why: str) -> CompressorError:
        span = self._split.pattern.partition("/")[0]
        return CompressorError(
            f"cannot find the newest span {span!r} in data folder {self.data_folder!r}: {why}. "
            "Name the folders like the pattern, with a number for {SPAN}."
        )


def _regex(pattern: str) -> str:
    """A regular expression of a pattern, with a group for each spec, as TFX names them."""
    parts, end = [], 0
    for spec in _SPEC.finditer(pattern):
        name = next(name for name, value in spec.groupdict().items() if value)
        width = spec["width"] or _WIDTHS.get(name)
        parts += [re.escape(pattern[end : spec.start()]), f"(?P<{name}>{f'.{{{width}}}' if width else '.+'})"]
        end = spec.end()
    return "".join([*parts, re.escape(pattern[end:])])


class Driver(driver.FileBasedDriver):
    """TFX's driver of file-based ExampleGens, for windows of spans.

    Attributes:
        PROCESSOR: What finds them.
    """

    PROCESSOR = InputProcessor

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Returns the processor that finds them."""
        assert input_base_uri
        return self.PROCESSOR(input_base_uri, splits, range_config)
