"""The interfaces of PreviousRun and Handover."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.warm_start.executor import (
    CLASSES,
    EXAMPLES,
    HYPERPARAMETERS,
    STATISTICS,
    TRANSLATORS,
    HandoverExecutor,
    PreviousRunExecutor,
)

_KEPT = {
    HYPERPARAMETERS: standard_artifacts.HyperParameters,
    TRANSLATORS: standard_artifacts.Model,
    STATISTICS: standard_artifacts.ExampleStatistics,
}
_FOUND = {**_KEPT, CLASSES: standard_artifacts.Schema}
_PARAMETERS = {
    "push_directory": component_spec.ExecutionParameter(type=str),
    "code_version": component_spec.ExecutionParameter(type=str),
}


class PreviousRunSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`PreviousRun`."""

    PARAMETERS: ClassVar = _PARAMETERS
    INPUTS: ClassVar = {"current": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics)}
    OUTPUTS: ClassVar = {name: component_spec.ChannelParameter(type=kind) for name, kind in _FOUND.items()}


class PreviousRun(base_component.BaseComponent):
    """Takes what :class:`Handover` left in a push destination at the end of the previous run.

    Outputs: ``hyperparameters``, the best of its search (HyperParameters), ``translators``, its bank (Model), and
    ``statistics`` of its data (ExampleStatistics, with that data's ``span``). They are empty folders, ``statistics`` of
    no splits, where there was no run, or what it left is damaged. And ``classes``, those of the pushed model in their
    order (Schema, with ``classes.txt``; an empty list where no model was pushed). Like DeployedModel it takes no
    resolver. As what it finds becomes artifacts, the nodes behind it are cached, and go on where they were stopped, as
    ever.

    Example:
        >>> PreviousRun(
        ...     current=statistics_gen.outputs["statistics"], push_directory="gs://models/serving"
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = PreviousRunSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PreviousRunExecutor)

    def __init__(self, current: types.BaseChannel, push_directory: str, *, code_version: str = "") -> None:
        """Wires the component.

        Args:
            current: Statistics of this run's data. They are not looked at: for new data, and for no old, the
                destination is read anew. So a run on the same data starts from the same, and is cached as a whole.
            push_directory: Where the Pusher puts models.
            code_version: Part of the cache key; change it when the code changes.
        """
        super().__init__(
            PreviousRunSpec(
                current=current,
                push_directory=push_directory,
                code_version=code_version,
                **{name: types.Channel(type=kind) for name, kind in _FOUND.items()},
            )
        )


class HandoverSpec(component_spec.ComponentSpec):
    """Inputs and parameters of :class:`Handover`."""

    PARAMETERS: ClassVar = _PARAMETERS
    INPUTS: ClassVar = {
        name: component_spec.ChannelParameter(type=kind)
        for name, kind in {EXAMPLES: standard_artifacts.Examples, **_KEPT}.items()
    }
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}


class Handover(base_component.BaseComponent):
    """Leaves in a push destination what the next run starts from, in place of what was there.

    Place it behind the last node that decides something (``add_upstream_node``): a run that fails leaves nothing, and
    finds what its predecessor left when it is run again.

    Example:
        >>> Handover(
        ...     examples=example_gen.outputs["examples"],
        ...     hyperparameters=pruning_search.outputs["best_hyperparameters"],
        ...     translators=translator_pretrainer.outputs["translators"],
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = HandoverSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(HandoverExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        hyperparameters: types.BaseChannel,
        translators: types.BaseChannel,
        statistics: types.BaseChannel,
        push_directory: str,
        *,
        code_version: str = "",
    ) -> None:
        """Wires the component.

        Args:
            examples: This run's data; its span is kept.
            hyperparameters: The best of the search, as the stock Tuner writes them.
            translators: The bank.
            statistics: Of this run's data.
            push_directory: Where the Pusher puts models.
            code_version: Part of the cache key; change it when the code changes.
        """
        super().__init__(
            HandoverSpec(
                **{
                    EXAMPLES: examples,
                    HYPERPARAMETERS: hyperparameters,
                    TRANSLATORS: translators,
                    STATISTICS: statistics,
                },
                push_directory=push_directory,
                code_version=code_version,
            )
        )
