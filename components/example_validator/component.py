"""The interface of ExampleValidator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.example_validator import executor


class ExampleValidatorSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`ExampleValidator`."""

    PARAMETERS: ClassVar = {
        "label": component_spec.ExecutionParameter(type=str),
        "max_drift": component_spec.ExecutionParameter(type=float),
        "on_anomaly": component_spec.ExecutionParameter(type=str),
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
    """Validates statistics as TFX's component of that name does, and compares them with those of the run before.

    Output: ``anomalies``, as the stock component writes them, with ``data.json`` beside them: the images of each
    class and split, what has changed, and each anomaly in a sentence.

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
        examples: types.BaseChannel | None = None,
        previous_statistics: types.BaseChannel | None = None,
        previous_classes: types.BaseChannel | None = None,
        removed_classes: Sequence[str] = (),
        max_drift: float = 0.1,
        on_anomaly: str = "warn",
        code_version: str = "",
    ) -> None:
        """Wires the component.

        Args:
            statistics: Of this run's data.
            schema: Of this run's data, too, so that only what differs between splits is against it.
            label: Name of the feature with the class names.
            examples: This run's data, which says what was left out of it; None where that is not known.
            previous_statistics: Of the data of the run before; of no splits where there was none. None where none can
                be known.
            previous_classes: The pushed model's classes; one without images is an anomaly. None where none can be
                known.
            removed_classes: Those of them that are taken out, and are no anomaly.
            max_drift: Most that the share of a class among the training images may have changed, 0..1 (TFDV's
                L-infinity comparator).
            on_anomaly: ``"stop"`` to fail where there is one, ``"warn"`` to tell of it alone.
            code_version: Part of the cache key; change it when the code changes.
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
                max_drift=max_drift,
                on_anomaly=on_anomaly,
                code_version=code_version,
            )
        )
