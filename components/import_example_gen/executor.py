"""Reads the TFRecords of several spans."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from tfx.components.example_gen.import_example_gen import executor

from components.spans import patterns_of


class Executor(executor.Executor):
    """TFX's executor, for each span of a window."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Returns what reads all spans into one collection."""
        of_span = super().GetInputSourceToExamplePTransform()

        @beam.ptransform_fn
        def of_window(pipeline: beam.Pipeline, exec_properties: dict[str, Any], split_pattern: str) -> beam.PCollection:
            spans = [
                pipeline | f"Span[{pattern}]" >> of_span(exec_properties, pattern)
                for pattern in patterns_of(split_pattern)
            ]
            return spans | "Flatten" >> beam.Flatten()

        return of_window
