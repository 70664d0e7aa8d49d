"""TFX's ImportExampleGen with windows of spans and a stratified split."""

from __future__ import annotations

from tfx.components.example_gen import component
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2, range_config_pb2

from components.custom_options import packed_options
from components.import_example_gen import executor
from components.storage.spans import Driver


class ImportExampleGen(component.FileBasedExampleGen):
    """Reads TFRecords of Examples and gives every split its share of each class.

    Example:
        >>> ImportExampleGen("records", input_config=..., output_config=..., label="class")  # doctest: +SKIP
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        input_base: str,
        input_config: example_gen_pb2.Input,
        output_config: example_gen_pb2.Output,
        range_config: range_config_pb2.RangeConfig | None = None,
        label: str = "label",
        code_version: str = "",
    ) -> None:
        """Creates the component. The data folder is only read when the component runs.

        Args:
            input_base: The data folder, local or remote.
            input_config: One split, whose pattern ends in ``*``: the files of a folder, or of the preceding spans.
            output_config: The splits and their shares, as hash buckets.
            range_config: Number of spans (:func:`components.storage.spans.rolling_range`); None for the newest span.
            label: Name of the feature with the class.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            input_base=input_base,
            input_config=input_config,
            output_config=output_config,
            range_config=range_config,
            custom_config=packed_options(label=label, code_version=code_version),
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
        )
