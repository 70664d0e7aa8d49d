"""The Evaluator component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs

from components.evaluator import executor


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """Inputs, outputs and parameters of :class:`Evaluator`: the stock ones, and a few more."""

    INPUTS: ClassVar = {
        **standard_component_specs.EvaluatorSpec.INPUTS,
        "reference": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }

    PARAMETERS: ClassVar = {
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        "confidence": component_spec.ExecutionParameter(type=float, optional=True),
        "code_version": component_spec.ExecutionParameter(type=str),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Compares a classifier with a baseline, and blesses it if it meets the thresholds.

    TFMA evaluates in one pass over the images. The predictions of each model in this pass are stored, and they decide
    on the model and on each of its TFLite models. Next to TFMA's metrics, the evaluation holds
    :data:`components.artifacts.file_names.VERDICT_FILE` and :data:`components.artifacts.predictions.PREDICTIONS_FILE`.
    The blessing holds a hash of the model's files and the formats that fail. The classes of the two models are matched
    by name.

    Example:
        >>> Evaluator(
        ...     examples=transform.outputs["transformed_examples"],
        ...     model=converter.outputs["model"],
        ...     baseline_model=reference.outputs["model"],
        ...     eval_config=eval_config(Thresholds(min_accuracy=0.9, max_drop=0.02, confidence=0.95)),
        ...     example_splits=["test"],
        ...     confidence=0.95,
        ... )  # doctest: +SKIP
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        eval_config: tfma.EvalConfig,
        *,
        example_splits: Sequence[str],
        reference: types.BaseChannel | None = None,
        confidence: float | None = None,
        code_version: str = "",
    ) -> None:
        """Creates the component.

        Args:
            examples: Transformed Examples.
            model: The classifier.
            baseline_model: The model to compare with; its channel may be empty.
            eval_config: A configuration from :func:`components.evaluator.tfma_config.eval_config`.
            example_splits: Names of the splits to evaluate on.
            reference: The run's uncompressed model, whose predictions are stored for other nodes, such as the report.
                None if it is the baseline: Kubeflow's metadata store accepts an artifact only once per node, so do not
                pass it as both.
            confidence: Confidence of the intervals whose lower ends must meet the thresholds, between 0.5 and 1. If
                None, the measured values decide.
            code_version: Part of the cache key. It changes with the code.
        """
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                reference=reference,
                eval_config=eval_config,
                example_splits=json.dumps(list(example_splits)),
                fairness_indicator_thresholds="null",
                confidence=confidence,
                code_version=code_version,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
