"""The ExampleValidator component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.example_validator import executor
from components.node_options import AnomalyOptions
from components.options import as_parameter


class ExampleValidatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`ExampleValidator`."""

    PARAMETERS: ClassVar = {
        "label": component_spec.ExecutionParameter(type=str),
        "options": component_spec.ExecutionParameter(type=str),
        "removed_classes": component_spec.ExecutionParameter(type=str),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "previous_statistics": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
        "previous_classes": component_spec.ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }
    OUTPUTS: ClassVar = {"anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies)}


class ExampleValidator(base_component.BaseComponent):
    """Validates statistics like TFX's component of the same name, and compares them with those of the previous run.

    Output: ``anomalies``, in the format of the stock component, plus ``data.json``: the images of each class and split,
    the changes, and one sentence per anomaly.

    Example:
        >>> ExampleValidator(
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     schema=schema_gen.outputs["schema"],
        ...     label="label",
        ...     previous_statistics=previous_run.outputs["statistics"],
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = ExampleValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        label: str,
        *,
        options: AnomalyOptions | None = None,
        examples: types.BaseChannel | None = None,
        previous_statistics: types.BaseChannel | None = None,
        previous_classes: types.BaseChannel | None = None,
        removed_classes: Sequence[str] = (),
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            statistics: Statistics of this run's data.
            schema: Schema of this run's data, so that only differences between splits are anomalies.
            label: Name of the feature with the class names.
            options: Which changes of the data are anomalies, and what follows from one; None for the defaults.
            examples: This run's data, which records the files left out; None if not known.
            previous_statistics: Statistics of the previous run's data, without splits if there was no previous run.
                None if they cannot be known.
            previous_classes: Classes of the pushed model. One without images is an anomaly. None if they cannot be
                known.
            removed_classes: Classes of the pushed model that are removed and therefore no anomaly.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            ExampleValidatorSpec(
                statistics=statistics,
                schema=schema,
                examples=examples,
                previous_statistics=previous_statistics,
                previous_classes=previous_classes,
                removed_classes=json.dumps(list(removed_classes)),
                anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
                label=label,
                options=as_parameter(options or AnomalyOptions()),
                code_version=code_version,
            )
        )
