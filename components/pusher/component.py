"""The Pusher component."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.extensions.google_cloud_ai_platform.pusher import component as vertex
from tfx.types import component_spec, standard_artifacts

from components.pusher import executor


class PusherSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Pusher`."""

    PARAMETERS: ClassVar = {
        "push_directory": component_spec.ExecutionParameter(type=str),
        "member": component_spec.ExecutionParameter(type=str, optional=True),
        "name": component_spec.ExecutionParameter(type=str),
        "label": component_spec.ExecutionParameter(type=str),
        "keep": component_spec.ExecutionParameter(type=int),
        "removed_classes": component_spec.ExecutionParameter(type=str),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "reference": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "tuner_results": component_spec.ChannelParameter(type=standard_artifacts.TunerResults),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
    }
    OUTPUTS: ClassVar = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model to a directory from which it is served, as a new version.

    It pushes exactly the files that were evaluated. Before they are published, the model must predict in a new process,
    and in TensorFlow Serving if that is installed. Versions older than those to keep are deleted. The model card,
    ``assets.extra/model_card.md`` and ``.json``, is pushed with the model.

    Example:
        >>> Pusher(
        ...     model=converter.outputs["model"],
        ...     model_blessing=evaluator.outputs["blessing"],
        ...     evaluation=evaluator.outputs["evaluation"],
        ...     reference=reference.outputs["model"],
        ...     tuner_results=pruning_search.outputs["tuner_results"],
        ...     statistics=statistics_gen.outputs["statistics"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        reference: types.BaseChannel,
        tuner_results: types.BaseChannel,
        statistics: types.BaseChannel,
        push_directory: str,
        *,
        member: str = "",
        name: str = "model",
        label: str = "label",
        keep: int = 5,
        removed_classes: Sequence[str] = (),
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            model: The model.
            model_blessing: The blessing from :class:`components.evaluator.Evaluator`, which records the evaluated
                files.
            evaluation: The evaluation from the same component, with the gate's verdict.
            reference: The uncompressed model, with which the card compares sizes.
            tuner_results: The results of :class:`components.pruning_search.PruningSearch`, with the connection.
            statistics: Statistics of the raw Examples.
            push_directory: Target in any store. Each version is a folder in it, named by a number.
            member: Name of the model in a family, which has a folder of that name in the push directory, and in the
                results a folder of its own; empty for the only model.
            name: Name of the model on its card.
            label: Feature of the raw Examples with the class name.
            keep: Number of versions to keep.
            removed_classes: Classes of the currently pushed version that the model may lack.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            PusherSpec(
                model=model,
                model_blessing=model_blessing,
                evaluation=evaluation,
                reference=reference,
                tuner_results=tuner_results,
                statistics=statistics,
                push_directory=push_directory,
                member=member or None,
                name=name,
                label=label,
                keep=keep,
                removed_classes=json.dumps(list(removed_classes)),
                code_version=code_version,
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )


class EndpointPusher(vertex.Pusher):
    """TFX's Pusher to an endpoint on Vertex AI, restricted to models that were evaluated and can predict.

    Known classes must keep the indices that they have in the model on the endpoint.

    Example:
        >>> EndpointPusher(
        ...     model=converter.outputs["model"],
        ...     model_blessing=evaluator.outputs["blessing"],
        ...     custom_config={
        ...         "ai_platform_enable_vertex": True,
        ...         "ai_platform_vertex_region": "europe-west1",
        ...         "ai_platform_vertex_container_image_uri": "registry/serving",
        ...         "ai_platform_serving_args": {"project": "my-project", "endpoint_name": "cats"},
        ...     },
        ... )  # doctest: +SKIP
    """

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.EndpointExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        custom_config: Mapping[str, Any],
        *,
        removed_classes: Sequence[str] = (),
    ) -> None:
        """Creates the component.

        Args:
            model: The model.
            model_blessing: The blessing from :class:`components.evaluator.Evaluator`, which records the evaluated
                files.
            custom_config: Configuration of TFX's Pusher for Vertex AI: region, serving image, and
                ``ai_platform_serving_args`` with ``project`` and ``endpoint_name``.
            removed_classes: Classes of the currently served model that the model may lack.
        """
        custom_config = {**custom_config, executor.REMOVED_CLASSES: list(removed_classes)}
        super().__init__(model=model, model_blessing=model_blessing, custom_config=custom_config)
