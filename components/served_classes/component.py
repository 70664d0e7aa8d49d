"""ServedClasses' interface."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.served_classes import executor


class ServedClassesSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`ServedClasses`."""

    PARAMETERS: ClassVar = {
        "project": component_spec.ExecutionParameter(type=str),
        "region": component_spec.ExecutionParameter(type=str),
        "endpoint": component_spec.ExecutionParameter(type=str),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {"current": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics)}
    OUTPUTS: ClassVar = {executor.CLASSES: component_spec.ChannelParameter(type=standard_artifacts.Schema)}


class ServedClasses(base_component.BaseComponent):
    """Takes the classes of the models that an endpoint on Vertex AI serves, in their order.

    Output ``classes`` (Schema, with ``classes.txt``): as that of :class:`components.warm_start.PreviousRun`, which
    reads them from a push directory. The list is empty where no model is deployed, or there is no such endpoint.

    Example:
        >>> ServedClasses(
        ...     current=statistics_gen.outputs["statistics"],
        ...     project="my-project",
        ...     region="europe-west1",
        ...     endpoint="cats",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = ServedClassesSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self, current: types.BaseChannel, project: str, region: str, endpoint: str, *, code_version: str = ""
    ) -> None:
        """Wires the component.

        Args:
            current: Statistics of this run's data. They are not looked at: for new data, and for no old, the endpoint
                is asked anew. So a run on the same data is cached as a whole.
            project: Id of the Google Cloud project.
            region: Such as ``europe-west1``.
            endpoint: The endpoint's display name.
            code_version: Part of the cache key; change it when the code changes.
        """
        super().__init__(
            ServedClassesSpec(
                current=current,
                project=project,
                region=region,
                endpoint=endpoint,
                code_version=code_version,
                **{executor.CLASSES: types.Channel(type=standard_artifacts.Schema)},
            )
        )
