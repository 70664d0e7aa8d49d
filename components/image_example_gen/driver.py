"""The driver of file-based ExampleGens, with a fingerprint that covers only the images."""

from __future__ import annotations

from collections.abc import Iterable

from tfx.components.example_gen import driver, input_processor
from tfx.proto import example_gen_pb2, range_config_pb2

from components.image_example_gen.dataset_layout import NamesInputProcessor


class Driver(driver.FileBasedDriver):
    """Finds the newest spans and computes the input's fingerprint.

    The stock fingerprint consists of sizes and times only. Moving an image to another class changes neither, so the
    outdated Examples would come from the cache.
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
