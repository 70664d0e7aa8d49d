"""The Transform component."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.transform import executor


class TransformSpec(standard_component_specs.TransformSpec):
    """Inputs, outputs and parameters of :class:`Transform`: the stock ones, and a few more."""

    PARAMETERS: ClassVar = {
        **standard_component_specs.TransformSpec.PARAMETERS,
        "label": component_spec.ExecutionParameter(type=str),
        "removed_classes": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        **standard_component_specs.TransformSpec.INPUTS,
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "previous_classes": component_spec.ChannelParameter(type=standard_artifacts.Schema, optional=True),
    }


class Transform(base_beam_component.BaseBeamComponent):
    """Transforms Examples like TFX's component of the same name, with a list of classes in a fixed order.

    The list holds the classes of the pushed model in their order, then new classes in natural order. The
    ``preprocessing_fn`` receives it as ``custom_config["classes"]``, and the transform graph's folder holds it as
    ``classes.txt``, see :mod:`components.artifacts.class_list`.

    Example:
        >>> Transform(
        ...     examples=example_gen.outputs["examples"],
        ...     schema=schema_gen.outputs["schema"],
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     preprocessing_fn="pipelines.modules.preprocessing_fn",
        ...     label="label",
        ...     previous_classes=previous_run.outputs["classes"],
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = TransformSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        statistics: types.BaseChannel,
        preprocessing_fn: str,
        label: str,
        *,
        previous_classes: types.BaseChannel | None = None,
        removed_classes: Sequence[str] = (),
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Creates the component.

        Args:
            examples: Raw Examples.
            schema: Schema of the Examples.
            statistics: Statistics of the Examples, which list the classes.
            preprocessing_fn: Dotted path of the function.
            label: Name of the feature with the class names.
            previous_classes: Classes of the pushed model; None if they cannot be known.
            removed_classes: Classes of the pushed model to remove. They must have no images.
            custom_config: Further values for the function.
        """
        transformed_examples = types.Channel(type=standard_artifacts.Examples)
        transformed_examples.matching_channel_name = "examples"
        super().__init__(
            TransformSpec(
                examples=examples,
                schema=schema,
                statistics=statistics,
                previous_classes=previous_classes,
                preprocessing_fn=preprocessing_fn,
                custom_config=json.dumps({**(custom_config or {})}),
                label=label,
                removed_classes=json.dumps(list(removed_classes)),
                force_tf_compat_v1=0,
                disable_statistics=1,  # nothing reads them
                transform_graph=types.Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=transformed_examples,
            )
        )
