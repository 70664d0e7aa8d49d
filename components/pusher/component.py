"""Pusher's interface."""

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
        "name": component_spec.ExecutionParameter(type=str),
        "backbone": component_spec.ExecutionParameter(type=str),
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
    """Puts a blessed model into a folder from which it is served, as a new version.

    It pushes what was evaluated and nothing else, lets it answer in a new process, and through TensorFlow Serving where
    that is installed, before it is seen, and deletes versions that are older than those to keep. With the model goes
    its card, ``assets.extra/model_card.md`` and ``.json``.

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
        name: str = "model",
        backbone: str = "the backbone",
        label: str = "label",
        keep: int = 5,
        removed_classes: Sequence[str] = (),
        code_version: str = "",
    ) -> None:
        """Wires the component.

        Args:
            model: The model.
            model_blessing: From :class:`components.evaluator.Evaluator`, which notes what it evaluated.
            evaluation: From the same: what the gate says of the model.
            reference: The uncompressed model, which the card compares sizes with.
            tuner_results: From :class:`components.pruning_search.PruningSearch`: what was cut.
            statistics: Of the raw Examples.
            push_directory: Where to, in any store; each version is a folder in it, named by a number.
            name: The model's, on its card.
            backbone: What was compressed, likewise.
            label: The raw Examples' feature with an image's class.
            keep: How many versions are kept there.
            removed_classes: Classes of the version that is pushed now that the model need not have.
            code_version: Part of the cache key; change it when the code changes.
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
                name=name,
                backbone=backbone,
                label=label,
                keep=keep,
                removed_classes=json.dumps(list(removed_classes)),
                code_version=code_version,
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )


class EndpointPusher(vertex.Pusher):
    """TFX's Pusher to an endpoint on Vertex AI, for the model that was evaluated alone, and answers.

    Known classes must have the places that they have in the model that the endpoint serves.

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
        """Wires the component.

        Args:
            model: The model.
            model_blessing: From :class:`components.evaluator.Evaluator`, which notes what it evaluated.
            custom_config: The extension's, for Vertex AI: region, serving image, and ``ai_platform_serving_args``
                with ``project`` and ``endpoint_name``.
            removed_classes: Classes of the model that is served now that the model need not have.
        """
        custom_config = {**custom_config, executor.REMOVED_CLASSES: list(removed_classes)}
        super().__init__(model=model, model_blessing=model_blessing, custom_config=custom_config)
