"""The stock driver of file-based ExampleGens, with a fingerprint that sees names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tfx.components.example_gen import driver, input_processor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.utils import io_utils

from components.image_example_gen.folders import PICTURES_PATTERN, newest_span
from compressor_lib.errors import CompressorError


class NamesInputProcessor(input_processor.FileBasedInputProcessor):
    """Looks for pictures at both depths, and at their names."""

    def resolve_span_and_version(self) -> tuple[int, int | None]:
        """See TFX's.

        Raises:
            CompressorError: If there is no span.
        """
        for split in self._splits:
            span = split.pattern.removesuffix(f"/{PICTURES_PATTERN}")
            if "{" in span:
                newest_span(self._input_base_uri, span)  # says better what is wrong
        with self._lost_links_told():
            return super().resolve_span_and_version()

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Sizes, times and names of all files of a span."""
        patterns = [
            os.path.join(self._input_base_uri, self.get_pattern_for_span_version(split.pattern, span, version))
            for split in self._splits
        ]
        # A folder that is split already has its pictures one level further down.
        patterns += [os.path.join(pattern, "*") for pattern in patterns]
        names = sorted(name for pattern in patterns for name in fileio.glob(pattern))
        with self._lost_links_told():
            files = [io_utils.generate_fingerprint("pictures", pattern) for pattern in patterns]
        return "\n".join([*files, f"names:{hashlib.sha256(chr(10).join(names).encode()).hexdigest()}"])

    @contextmanager
    def _lost_links_told(self) -> Iterator[None]:
        try:
            yield
        except fileio.NotFoundError as error:
            raise CompressorError(
                f"a file in data folder {self._input_base_uri!r} cannot be found: "
                f"{error.__cause__}. If it is a link that leads nowhere, delete it."
            ) from error


class Driver(driver.FileBasedDriver):
    """Finds the newest span and the input's fingerprint.

    The stock fingerprint is made of sizes and times alone. A picture that is moved to another
    class changes neither, and the old Examples would be taken from the cache.
    """

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,
        input_base_uri: str | None = None,
    ) -> input_processor.InputProcessor:
        """Returns the processor whose fingerprint includes the files' names."""
        return NamesInputProcessor(input_base_uri, splits, range_config)
