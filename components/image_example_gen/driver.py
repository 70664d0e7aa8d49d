"""The driver of file-based ExampleGens, with a fingerprint that sees names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from tfx.components.example_gen import driver, input_processor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.utils import io_utils

from components import spans
from compressor_lib.errors import CompressorError


class NamesInputProcessor(spans.InputProcessor):
    """Looks for pictures at both depths, and at their names."""

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """Sizes, times and names of all files of the window."""
        # A folder that is split already has its pictures one level further down.
        patterns = [deeper for pattern in self.file_patterns() for deeper in (pattern, os.path.join(pattern, "*"))]
        names = sorted(name for pattern in patterns for name in fileio.glob(pattern))
        try:
            files = [io_utils.generate_fingerprint("pictures", pattern) for pattern in patterns]
        except fileio.NotFoundError as error:
            raise CompressorError(
                f"a file in data folder {self._input_base_uri!r} cannot be found: "
                f"{error.__cause__}. If it is a link that leads nowhere, delete it."
            ) from error
        return "\n".join([*files, f"names:{hashlib.sha256(chr(10).join(names).encode()).hexdigest()}"])


class Driver(driver.FileBasedDriver):
    """Finds the newest spans and the input's fingerprint.

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
        assert input_base_uri
        return NamesInputProcessor(input_base_uri, splits, range_config)
