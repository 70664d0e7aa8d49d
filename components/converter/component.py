"""The Converter component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.converter import executor
from components.node_options import ExportOptions
from compressor_lib.deployment.precision import Precision


class ConverterSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Converter`."""

    PARAMETERS: ClassVar = {
        "formats": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "seed": component_spec.ExecutionParameter(type=int),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        executor.BASE_MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.REFERENCE: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS: ClassVar = {executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class Converter(base_component.BaseComponent):
    """Adds TFLite models to a trained classifier and measures their latency next to the reference model's.

    It is a separate node, so that adding a format does not train anything again.

    Example:
        >>> Converter(
        ...     base_model=retrain.outputs["model"],
        ...     reference=reference.outputs["model"],
        ...     examples=transform.outputs["transformed_examples"],
        ...     formats=["float32", "int8"],
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = ConverterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        base_model: types.BaseChannel,
        reference: types.BaseChannel,
        examples: types.BaseChannel,
        *,
        formats: Sequence[Precision] = ExportOptions.formats,
        split: str = "train",
        seed: int = 0,
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            base_model: A Model written by :func:`compressor_lib.deployment.export.export_saved_model`.
            reference: The uncompressed Model, written the same way.
            examples: Transformed Examples; int8 is calibrated on some of their images.
            formats: Precisions of the TFLite models. float32 is always made.
            split: Name of the split to calibrate on.
            seed: Random seed for the images that calibrate int8, and for the order in which models are timed.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            ConverterSpec(
                **{
                    executor.BASE_MODEL: base_model,
                    executor.REFERENCE: reference,
                    executor.EXAMPLES: examples,
                    executor.MODEL: types.Channel(type=standard_artifacts.Model),
                },
                formats=json.dumps(list(formats)),
                split=split,
                seed=seed,
                code_version=code_version,
            )
        )
