"""Evaluator's interface."""

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
    """Inputs, outputs and parameters of :class:`Evaluator`: the stock one's, and a few."""

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
    """Compares a classifier with a baseline, and blesses it if it keeps the thresholds, with some confidence.

    TFMA evaluates, in one pass over the images. What each model predicted in it is kept, and decides, for the model
    and for each of its TFLite models: beside TFMA's metrics stand
    :data:`components.artifacts.verdict.VERDICT_FILE` and
    :data:`components.artifacts.predictions.PREDICTIONS_FILE`, and in the blessing a hash of the model's files and the
    formats that fail. The two models' classes are joined by their names.

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
        """Wires the component.

        Args:
            examples: Transformed Examples.
            model: The classifier.
            baseline_model: What it is compared with; it may resolve to nothing.
            eval_config: From :func:`components.evaluator.tfma_config.eval_config`.
            example_splits: Names of the splits to judge on.
            reference: The run's uncompressed model, whose predictions are kept for others, such as the report; None:
                the baseline is it. Kubeflow's metadata store takes no artifact twice from a node, so do not give it
                as both.
            confidence: Of the intervals whose lower ends must keep the thresholds, between 0.5 and 1; None: what is
                measured decides.
            code_version: Part of the cache key; change it when the code changes.
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
