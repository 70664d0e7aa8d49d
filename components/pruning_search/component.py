"""PruningSearch's interface."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.pruning_search import executor


class PruningSearchSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`PruningSearch`."""

    PARAMETERS: ClassVar = {
        "backbone": component_spec.ExecutionParameter(type=str),
        "connections": component_spec.ExecutionParameter(type=str),
        "tuner": component_spec.ExecutionParameter(type=str),
        "max_trials": component_spec.ExecutionParameter(type=int),
        "max_epochs": component_spec.ExecutionParameter(type=int),
        "parallel_trials": component_spec.ExecutionParameter(type=int),
        "vertex_job": component_spec.ExecutionParameter(type=str),
        "shortlist": component_spec.ExecutionParameter(type=int),
        "train_translators": component_spec.ExecutionParameter(type=int),
        "feature_memory_mb": component_spec.ExecutionParameter(type=int),
        "tau": component_spec.ExecutionParameter(type=float),
        "cost": component_spec.ExecutionParameter(type=str),
        "budgets": component_spec.ExecutionParameter(type=str),
        "head_units": component_spec.ExecutionParameter(type=str),
        "tail_units": component_spec.ExecutionParameter(type=str),
        "dropout": component_spec.ExecutionParameter(type=float),
        "min_learning_rate": component_spec.ExecutionParameter(type=float),
        "max_learning_rate": component_spec.ExecutionParameter(type=float),
        "batch_size": component_spec.ExecutionParameter(type=int),
        "class_weights": component_spec.ExecutionParameter(type=str),
        "seed": component_spec.ExecutionParameter(type=int),
        "code_version": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "base_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "translators": component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.PREVIOUS: component_spec.ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "best_hyperparameters": component_spec.ChannelParameter(type=standard_artifacts.HyperParameters),
        "tuner_results": component_spec.ChannelParameter(type=standard_artifacts.TunerResults),
    }


class PruningSearch(base_component.BaseComponent):
    """Searches the sub-networks of a classifier's backbone.

    Outputs: ``best_hyperparameters`` and ``tuner_results`` as the stock Tuner writes them, the latter with
    ``search_report.json`` beside it (a :class:`compressor_lib.search.run.TrialReport` for every trial), and
    ``model``, the best sub-network with its head, in ``assets.extra/model.keras``, together with the uncompressed
    classifier it came from, in ``assets.extra/teacher.keras``.

    Example:
        >>> PruningSearch(
        ...     examples=transform.outputs["transformed_examples"],
        ...     base_model=reference.outputs["model"],
        ...     translators=translator_pretrainer.outputs["translators"],
        ...     backbone="MobileNetV2",
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = PruningSearchSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        base_model: types.BaseChannel,
        translators: types.BaseChannel,
        backbone: str = "",
        *,
        previous_hyperparameters: types.BaseChannel | None = None,
        connections: str | Sequence[str] = "all",
        tuner: str = "hyperband",
        max_trials: int = 60,
        max_epochs: int = 30,
        parallel_trials: int = 1,
        vertex_job: Mapping[str, Any] | None = None,
        shortlist: int | None = None,
        train_translators: bool = False,
        feature_memory_mb: int = 4096,
        tau: float = 0.8,
        cost: str = "parameters",
        budgets: Mapping[str, float] | None = None,
        head_units: Sequence[int] = (0,),
        tail_units: Sequence[int] = (128, 256, 512),
        dropout: float = 0.0,
        min_learning_rate: float = 1e-3,
        max_learning_rate: float = 1e-2,
        batch_size: int = 32,
        class_weights: str = "none",
        seed: int = 0,
        code_version: str = "",
    ) -> None:
        """Wires the component.

        Args:
            examples: Transformed Examples, with splits ``train`` and ``eval``.
            base_model: A Model whose ``assets.extra/model.keras`` is the uncompressed classifier; its cost
                is the yardstick of compression.
            translators: A bank fitted on its backbone for all ``connections``.
            backbone: Its backbone's name in the catalogue; empty for another network, which has no published
                connections.
            previous_hyperparameters: The best of an earlier search, or an empty folder: the first trial, if they are in
                the search space.
            connections: a family (see :func:`compressor_lib.cuts.families.searched_connections`) or a list.
            tuner: A name in ``compressor_lib.search.run.TUNERS``.
            max_trials: The most trials.
            max_epochs: Epochs of a trial.
            parallel_trials: Trials at a time. Above 1 each has a process of its own on this machine, and the
                order of the trials, and with it what later ones try, may vary between runs.
            vertex_job: A custom job on Vertex AI whose replicas search together, in place of ``parallel_trials`` on
                this machine: its ``project``, ``region`` and ``job_spec`` (a CustomJobSpec). None: no job.
            tau: Weight of accuracy against compression.
            shortlist: How many connections trials are spent on, those that promise most (see
                :mod:`compressor_lib.search.shortlist`); None for all.
            train_translators: Whether trials train their translator with their head.
            feature_memory_mb: Memory, in MiB, for what the backbone computed of the images, in each process; what is
                beyond goes to a temporary folder.
            cost: What compression saves, a name in ``compressor_lib.objective.costs.COSTS``.
            budgets: The most that the best network may have of any costs, by name.
            head_units: Widths of the head to choose from, 0 for none.
            tail_units: Widths of a tail to choose from.
            dropout: In the head.
            min_learning_rate: Least learning rate of a head.
            max_learning_rate: Largest one.
            batch_size: Images a step.
            class_weights: ``"balanced"`` lets each class count the same in a trial's loss, however many images it
                has; ``"none"`` each image. Trials are ranked by plain accuracy all the same.
            seed: Of the search.
            code_version: Part of the cache key; change it when the code changes.
        """
        super().__init__(
            PruningSearchSpec(
                examples=examples,
                base_model=base_model,
                translators=translators,
                previous_hyperparameters=previous_hyperparameters,
                model=types.Channel(type=standard_artifacts.Model),
                best_hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                tuner_results=types.Channel(type=standard_artifacts.TunerResults),
                backbone=backbone,
                connections=json.dumps(connections if isinstance(connections, str) else list(connections)),
                tuner=tuner,
                max_trials=max_trials,
                max_epochs=max_epochs,
                parallel_trials=parallel_trials,
                vertex_job=json.dumps(vertex_job, sort_keys=True) if vertex_job else "",
                shortlist=shortlist or 0,
                train_translators=int(train_translators),
                feature_memory_mb=feature_memory_mb,
                tau=tau,
                cost=cost,
                budgets=json.dumps(dict(budgets or {}), sort_keys=True),
                head_units=json.dumps(list(head_units)),
                tail_units=json.dumps(list(tail_units)),
                dropout=dropout,
                min_learning_rate=min_learning_rate,
                max_learning_rate=max_learning_rate,
                batch_size=batch_size,
                class_weights=class_weights,
                seed=seed,
                code_version=code_version,
            )
        )
