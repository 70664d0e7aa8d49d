"""TFX's ImportExampleGen, for windows of spans."""

from __future__ import annotations

from tfx.components.example_gen.import_example_gen import component
from tfx.dsl.components.base import executor_spec

from components.import_example_gen import executor
from components.spans import Driver


class ImportExampleGen(component.ImportExampleGen):
    """TFX's, which takes a ``range_config`` of several spans too (:func:`components.spans.rolling_range`)."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = Driver
