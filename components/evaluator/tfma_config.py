"""The gate's thresholds as a configuration of TFMA."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tensorflow_model_analysis as tfma

from components.evaluator.accuracy import Accuracy
from compressor_lib.deployment.gate import Thresholds

LABEL = "label"
PROBABILITIES = "probabilities"
SIGNATURE = "serving_tf_example"

_OVERALL, _BY_CLASS = tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[LABEL])


def eval_config(thresholds: Thresholds) -> tfma.EvalConfig:
    """Returns TFMA's configuration: accuracy overall and by class, with the gate's thresholds.

    TFMA ignores how few images there are, so :func:`compressor_lib.deployment.gate.judge` makes the decision.
    """
    per_slice = [
        tfma.PerSliceMetricThreshold(
            slicing_specs=[_OVERALL],
            threshold=tfma.MetricThreshold(
                # Without a baseline TFMA skips the change, so the value always has a threshold.
                value_threshold=tfma.GenericValueThreshold(lower_bound={"value": thresholds.min_accuracy}),
                change_threshold=_largest_drop(thresholds.max_drop),
            ),
        )
    ]
    if thresholds.max_class_drop is not None:
        threshold = tfma.MetricThreshold(change_threshold=_largest_drop(thresholds.max_class_drop))
        per_slice.append(tfma.PerSliceMetricThreshold(slicing_specs=[_BY_CLASS], threshold=threshold))
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=SIGNATURE, label_key=LABEL, prediction_key=PROBABILITIES)],
        slicing_specs=[_OVERALL, _BY_CLASS],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name=Accuracy.__name__, module=Accuracy.__module__, per_slice_thresholds=per_slice
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )


def with_classes(config: tfma.EvalConfig, classes: Sequence[str], baseline: Sequence[str] | None) -> tfma.EvalConfig:
    """Returns the configuration with the class names of the models.

    Args:
        config: A configuration from :func:`eval_config`.
        classes: Class names of the model, by label.
        baseline: Class names of the baseline, in its own order; None without a baseline.
    """
    known = tfma.EvalConfig()
    known.CopyFrom(config)
    names = {"classes": list(classes), "baseline_classes": None if baseline is None else list(baseline)}
    known.metrics_specs[0].metrics[0].config = json.dumps(names)
    return tfma.utils.update_eval_config_with_defaults(known, has_baseline=baseline is not None, rubber_stamp=True)


def thresholds_of(config: tfma.EvalConfig, confidence: float | None) -> Thresholds:
    """Returns the thresholds in a configuration from :func:`eval_config`."""
    overall, *by_class = (one.threshold for one in config.metrics_specs[0].metrics[0].per_slice_thresholds)
    return Thresholds(
        min_accuracy=overall.value_threshold.lower_bound.value,
        max_drop=-overall.change_threshold.absolute.value,
        max_class_drop=-by_class[0].change_threshold.absolute.value if by_class else None,
        confidence=confidence,
    )


def _largest_drop(drop: float) -> tfma.GenericChangeThreshold:
    return tfma.GenericChangeThreshold(direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -drop})
