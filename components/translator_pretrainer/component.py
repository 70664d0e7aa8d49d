"""The TranslatorPretrainer component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.options import as_parameter
from components.translator_pretrainer import executor
from compressor_lib.pretraining.options import TranslatorOptions

BASE_MODEL = "base_model"
EXAMPLES = "examples"
TRANSLATORS = "translators"
PREVIOUS = executor.PREVIOUS


class TranslatorPretrainerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`TranslatorPretrainer`."""

    PARAMETERS: ClassVar = {
        "backbone": component_spec.ExecutionParameter(type=str),
        "connections": component_spec.ExecutionParameter(type=str),
        "options": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "batch_size": component_spec.ExecutionParameter(type=int),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        BASE_MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        PREVIOUS: component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {TRANSLATORS: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class TranslatorPretrainer(base_beam_component.BaseBeamComponent):
    """Fits the translators of a classifier's backbone in closed form, on Beam.

    Example:
        >>> TranslatorPretrainer(
        ...     examples=transform.outputs["transformed_examples"],
        ...     base_model=reference.outputs["model"],
        ...     backbone="MobileNetV2",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = TranslatorPretrainerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        base_model: types.BaseChannel,
        backbone: str = "",
        *,
        previous_translators: types.BaseChannel | None = None,
        connections: str | Sequence[str] = "published",
        options: TranslatorOptions | None = None,
        split: str = "train",
        batch_size: int = 32,
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            examples: Transformed Examples; only their images are read.
            base_model: A Model whose ``assets.extra/model.keras`` is the uncompressed classifier.
            backbone: Name of the backbone in the catalogue; empty for another network, which has no published
                connections.
            previous_translators: The bank of an earlier run, or an empty folder. It is reused if it was fitted on the
                same backbone with the same weights, for these connections and with these options.
            connections: A family (see :func:`compressor_lib.cuts.families.searched_connections`) or a list. Connections
                without a B have no translator.
            options: Options for fitting the translators; None for the defaults.
            split: Name of the split to fit on.
            batch_size: Images per forward pass.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            TranslatorPretrainerSpec(
                **{
                    EXAMPLES: examples,
                    BASE_MODEL: base_model,
                    PREVIOUS: previous_translators,
                    TRANSLATORS: types.Channel(type=standard_artifacts.Model),
                },
                backbone=backbone,
                connections=json.dumps(connections if isinstance(connections, str) else list(connections)),
                options=as_parameter(options or TranslatorOptions()),
                split=split,
                batch_size=batch_size,
                code_version=code_version,
            )
        )
