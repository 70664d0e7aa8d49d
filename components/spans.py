"""Spans: folders of data that arrive one after the other; a run reads the newest, or a window of the last ones.

TFX's ``RollingRange`` says how many, but its drivers take one span alone, and a Resolver that picks the Examples of
several gives several artifacts, where the components behind take one. So the driver here finds the whole window, and
joins its patterns into the one pattern of the input; the executors read them all into one artifact.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tfx.components.example_gen import driver, input_processor, utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.utils import io_utils

from compressor_lib.errors import CompressorError

_SEPARATOR = "|"


def rolling_range(window: int | None) -> range_config_pb2.RangeConfig | None:
    """TFX's way to ask for the last spans.

    Args:
        window: How many, at least 1; None: an ExampleGen's default, the newest.

    Returns:
        The range for an ExampleGen.

    Raises:
        CompressorError: If there are to be less than one.
    """
    if window is None:
        return None
    if window < 1:
        raise CompressorError(f"a window of {window} spans holds nothing: choose 1 or more.")
    return range_config_pb2.RangeConfig(rolling_range=range_config_pb2.RollingRange(num_spans=window))


def patterns_of(pattern: str) -> list[str]:
    """The patterns of all spans of a window, the oldest first, from what the driver made of the input's pattern."""
    return pattern.split(_SEPARATOR)


class InputProcessor(input_processor.FileBasedInputProcessor):
    """Finds a window of spans; without ``{SPAN}`` or a date in the pattern there is one, without number."""

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
        super().__init__(input_base_uri, splits)
        (self._split,) = self._splits
        self._most = (range_config and range_config.rolling_range.num_spans) or 1
        self._window: list[tuple[int, int | None]] = []

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """Finds the window.

        Returns:
            Number and version of its newest span.

        Raises:
            CompressorError: If there is no span, or one without a number.
        """
        if not (self._is_match_span or self._is_match_date):
            self._window = [(0, None)]
            return 0, None
        try:
            found = self._all_spans()
        except ValueError as error:
            raise self._not_found(str(error)) from error
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
        """Sizes and times of all files of the window."""
        return "\n".join(io_utils.generate_fingerprint(self._split.name, pattern) for pattern in self.file_patterns())

    def file_patterns(self) -> list[str]:
        """The window's patterns, with the data folder in front."""
        filled = self.get_pattern_for_span_version(self._split.pattern, *self._window[-1])
        return [os.path.join(self._input_base_uri, pattern) for pattern in patterns_of(filled)]

    def _all_spans(self) -> dict[int, int | None]:
        """The newest version of every span."""
        kinds = (self._is_match_span, self._is_match_date, self._is_match_version)
        glob, regex = utils._create_matching_glob_and_regex(self._input_base_uri, self._split, *kinds, None)
        found: dict[int, int | None] = {}
        for path in fileio.glob(glob):
            _, span, _, version = utils._find_matched_span_version_from_path(path, regex, *kinds)
            found[span] = max(found.get(span) or version, version) if self._is_match_version else None
        return found

    def _check_padding(self, span: int, version: int | None) -> None:
        filled = super().get_pattern_for_span_version(self._split.pattern, span, version)
        if not fileio.glob(os.path.join(self._input_base_uri, filled)):
            raise CompressorError(
                f"there is a span of the number {span} in data folder {self._input_base_uri!r}, but nothing matches "
                f"{filled!r}. Zero-padded numbers need a width, such as span-{{SPAN:2}}."
            )

    def _not_found(self, why: str) -> CompressorError:
        span = self._split.pattern.partition("/")[0]
        return CompressorError(
            f"cannot find the newest span {span!r} in data folder {self._input_base_uri!r}: {why}. "
            "Name the folders like the pattern, with a number for {SPAN}."
        )


class Driver(driver.FileBasedDriver):
    """TFX's driver of file-based ExampleGens, for windows of spans."""

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Returns the processor that finds them."""
        assert input_base_uri
        return InputProcessor(input_base_uri, splits, range_config)
