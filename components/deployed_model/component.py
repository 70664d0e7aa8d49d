"""DeployedModel's interface."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.deployed_model import executor

CANDIDATE = "candidate"
REFERENCE = "reference"
MODEL = "model"


class DeployedModelSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`DeployedModel`."""

    PARAMETERS: ClassVar = {
        "push_directory": component_spec.ExecutionParameter(type=str),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        CANDIDATE: component_spec.ChannelParameter(type=standard_artifacts.Model),
        REFERENCE: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS: ClassVar = {MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class DeployedModel(base_component.BaseComponent):
    """Takes the newest model of a push destination, or the reference where nothing comparable is there.

    It reads the destination itself, so it takes no resolver and works on platforms that have none.

    Example:
        >>> DeployedModel(
        ...     candidate=converter.outputs["model"],
        ...     reference=reference.outputs["model"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = DeployedModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        candidate: types.BaseChannel,
        reference: types.BaseChannel,
        push_directory: str,
        *,
        code_version: str = "",
    ) -> None:
        """Wires the component.

        Args:
            candidate: The Model that is to be compared. It is not looked at: for each new candidate, and for no old
                one, the destination is read anew. So a run that makes none is taken from the cache as a whole, though
                its model serves since.
            reference: The run's own Model, for the first run, and for one that shares no class with the deployed one.
            push_directory: Where the Pusher puts models, each in a folder that is named by a number.
            code_version: Part of the cache key; change it when the code changes.
        """
        super().__init__(
            DeployedModelSpec(
                **{CANDIDATE: candidate, REFERENCE: reference, MODEL: types.Channel(type=standard_artifacts.Model)},
                push_directory=push_directory,
                code_version=code_version,
            )
        )
