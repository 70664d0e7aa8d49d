"""The Report component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.report import executor
from components.report.artifact import RunReport
from compressor_lib.deployment.family import input_key


class ReportSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Report`."""

    PARAMETERS: ClassVar = {
        "config": component_spec.ExecutionParameter(type=str),
        "cost": component_spec.ExecutionParameter(type=str),
        "label_feature": component_spec.ExecutionParameter(type=str),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "reference": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "reference_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        "translators": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "tuner_results": component_spec.ChannelParameter(type=standard_artifacts.TunerResults),
    }
    OUTPUTS: ClassVar = {"report": component_spec.ChannelParameter(type=RunReport)}


OF_MEMBERS = {
    "compressed": standard_artifacts.Model,
    "compressed_run": standard_artifacts.ModelRun,
    "evaluation": standard_artifacts.ModelEvaluation,
    "pushed_model": standard_artifacts.PushedModel,
}
"""The inputs of each member of a family, with their types."""


def spec_for(members: Iterable[str]) -> type[ReportSpec]:
    """Returns the specification for a family, whose members each have the inputs in ``OF_MEMBERS``.

    Args:
        members: Names of the members; an empty name for the only model.
    """
    inputs = {
        input_key(key, member): component_spec.ChannelParameter(type=kind)
        for member in members
        for key, kind in OF_MEMBERS.items()
    }
    return type("ReportSpec", (ReportSpec,), {"INPUTS": {**ReportSpec.INPUTS, **inputs}})


class Report(base_component.BaseComponent):
    """Reports the results of a run: the reference model and the compressed model, or those of a family.

    Output: ``report``, a folder with ``report.html``, a self-contained page, and ``report.json``, a
    :class:`components.report.data.ReportData` or, for a family, one for each member, by name, under ``members``.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        anomalies: types.BaseChannel,
        transformed_examples: types.BaseChannel,
        reference: types.BaseChannel,
        reference_run: types.BaseChannel,
        translators: types.BaseChannel,
        tuner_results: types.BaseChannel,
        members: Mapping[str, Mapping[str, types.BaseChannel]],
        config: str,
        cost: str = "parameters",
        label_feature: str = "label",
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            examples: Output of the ExampleGen, with the skipped files in its custom properties.
            statistics: Output of StatisticsGen.
            anomalies: Output of ExampleValidator.
            transformed_examples: Output of Transform, with the split ``test``.
            reference: The uncompressed classifier.
            reference_run: Training run of the reference model, with ``history.json``.
            translators: Output of TranslatorPretrainer.
            tuner_results: Output of PruningSearch.
            members: The channels of each member of a family by its name, or of the only model by an empty name:
                ``compressed``, the compressed classifier; ``compressed_run``, its training run; ``evaluation``, the
                output of Evaluator; and ``pushed_model``, that of Pusher.
            config: Configuration of the run as JSON. Credentials are not shown.
            cost: The cost that the search reduced, a name in ``compressor_lib.objective.costs.COSTS``.
            label_feature: The raw feature with the class name.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            spec_for(members)(
                examples=examples,
                statistics=statistics,
                anomalies=anomalies,
                transformed_examples=transformed_examples,
                reference=reference,
                reference_run=reference_run,
                translators=translators,
                tuner_results=tuner_results,
                config=config,
                cost=cost,
                label_feature=label_feature,
                code_version=code_version,
                report=types.Channel(type=RunReport),
                **{
                    input_key(key, member): channel
                    for member, channels in members.items()
                    for key, channel in channels.items()
                },
            )
        )
