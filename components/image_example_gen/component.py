"""The ImageExampleGen component."""

from __future__ import annotations

from collections.abc import Mapping

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from components.custom_options import packed_options
from components.image_example_gen import driver, executor
from components.image_example_gen.dataset_layout import images_split
from components.node_options import ImageOptions
from components.options import as_parameter
from components.storage.spans import rolling_range
from compressor_lib.errors import CompressorError

_SHARES = {"train": 8, "eval": 1, "test": 1}


class ImageExampleGen(component.FileBasedExampleGen):
    """Converts a folder of class folders to Examples.

    Every Example has three bytes features: ``image`` (encoded image), ``label`` (class name) and ``filename`` (path
    relative to the data folder). See README.md for the layouts.

    The output artifact has the custom properties ``skipped`` (number of unreadable images) and ``skipped_files`` (JSON
    list of up to 20 names), ``duplicates`` (number of images that are copies of others) and ``duplicates_left_out``.
    Its files ``skipped.jsonl`` and ``duplicates.jsonl`` list them all.

    Example:
        >>> example_gen = ImageExampleGen(input_base="images")  # doctest: +SKIP
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        input_base: str,
        splits: Mapping[str, int] | None = None,
        options: ImageOptions | None = None,
        span_pattern: str | None = None,
        span_window: int = 1,
        code_version: str = "",
    ) -> None:
        """Creates the component. The data folder is only read when the component runs.

        Args:
            input_base: The data folder, local or remote.
            splits: Share of every split; by default 8:1:1 for train, eval and test. In a pre-split folder, only the
                names count.
            options: Which images are used; None for the defaults.
            span_pattern: Pattern of the span folders in ``input_base``, such as ``"span-{SPAN}"``. Each run reads the
                newest span. None for no spans.
            span_window: Number of newest spans to read together.
            code_version: Part of the cache key. It changes with the code.

        Raises:
            CompressorError: If a share is below 1, or the window is empty.
        """
        shares = dict(_SHARES if splits is None else splits)
        if not shares or any(share < 1 for share in shares.values()):
            raise CompressorError(
                f"splits are {shares}: give at least one name, and shares of 1 or more, such as {_SHARES}."
            )
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(splits=[images_split(span_pattern)]),
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=[
                        example_gen_pb2.SplitConfig.Split(name=split, hash_buckets=share)
                        for split, share in shares.items()
                    ]
                )
            ),
            range_config=rolling_range(span_window),
            custom_config=packed_options(options=as_parameter(options or ImageOptions()), code_version=code_version),
        )
