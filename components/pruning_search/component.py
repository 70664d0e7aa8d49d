"""The PruningSearch component."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.options import as_parameter
from components.pruning_search import executor
from compressor_lib.deployment.precision import Precision
from compressor_lib.search.finalists import finalist_training
from compressor_lib.search.options import PruningSearchOptions
from compressor_lib.training.options import RetrainingOptions, TrainingOptions


class PruningSearchSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of :class:`PruningSearch`."""

    PARAMETERS: ClassVar = {
        "backbone": component_spec.ExecutionParameter(type=str),
        "label": component_spec.ExecutionParameter(type=str),
        "options": component_spec.ExecutionParameter(type=str),
        "retraining": component_spec.ExecutionParameter(type=str),
        "precision": component_spec.ExecutionParameter(type=str),
        "files_sha256": component_spec.ExecutionParameter(type=str),
        "vertex_job": component_spec.ExecutionParameter(type=str),
        "dropout": component_spec.ExecutionParameter(type=float),
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
    """Searches the sub-networks of a classifier's backbone and of others, at one or more image sizes.

    Outputs: ``best_hyperparameters`` and ``tuner_results`` in the format of the stock Tuner, the latter with
    ``search_report.json`` (a :class:`compressor_lib.search.run.TrialReport` for every trial) and, if there are
    finalists, ``finalists.json`` (a :class:`compressor_lib.search.finalists.Finalist` for each), and ``model`` with the
    best sub-network and its head in ``assets.extra/model.keras`` and the uncompressed classifier in
    ``assets.extra/teacher.keras``. If the options name several budgets, ``tuner_results`` has these files in a folder
    for each, and ``model`` a file such as ``assets.extra/model-tiny.keras`` for each; the hyperparameters are those of
    the first, with those of all under ``family``.

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
        label: str = "",
        options: PruningSearchOptions | None = None,
        retraining: TrainingOptions | None = None,
        precision: Precision = "float32",
        files_sha256: str = "",
        vertex_job: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        batch_size: int = 32,
        class_weights: str = "none",
        seed: int = 0,
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            examples: Transformed Examples, with splits ``train`` and ``eval``.
            base_model: A Model whose ``assets.extra/model.keras`` is the uncompressed classifier. Compression is
                relative to its cost.
            translators: A bank fitted on its backbone for all ``connections`` in the options.
            backbone: Name of the backbone in the catalogue; empty for another network, which has no published
                connections.
            previous_hyperparameters: Best hyperparameters of an earlier search, or an empty folder. They are the first
                trial, if they are in the search space.
            label: Name of the backbone in the results; ``backbone`` if empty.
            options: Options of the search; None for the defaults. Without ``head_units``, heads are a single softmax
                layer.
            retraining: How finalists are retrained, for ``finalist_epochs`` in the options and without a teacher; None
                for the defaults of the retraining. Without effect for a single finalist.
            precision: Precision of the TFLite files whose bytes and latencies are measured, if the options use them.
            files_sha256: Hash of the weights files and the latency table in the options. Part of the cache key.
            vertex_job: A custom job on Vertex AI whose replicas run trials, instead of parallel trials on this machine:
                its ``project``, ``region`` and ``job_spec`` (a CustomJobSpec). None for no job.
            dropout: Dropout rate of the head.
            batch_size: Images per step.
            class_weights: ``"balanced"`` gives every class the same weight in a trial's loss, whatever its number of
                images; ``"none"`` gives every image the same weight. Trials are always ranked by unweighted accuracy.
            seed: Random seed of the search.
            code_version: Part of the cache key. It changes with the code.
        """
        options = options or PruningSearchOptions()
        retraining = finalist_training(retraining or RetrainingOptions(), options.finalist_epochs)
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
                label=label or backbone or "reference",
                options=as_parameter(options),
                retraining=as_parameter(retraining) if options.finalists > 1 else "",
                precision=precision,
                files_sha256=files_sha256,
                vertex_job=json.dumps(vertex_job, sort_keys=True) if vertex_job else "",
                dropout=dropout,
                batch_size=batch_size,
                class_weights=class_weights,
                seed=seed,
                code_version=code_version,
            )
        )
