"""The gate in TFMA's terms: what it is told to measure."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tensorflow_model_analysis as tfma

from components.evaluator.accuracy import Accuracy
from compressor_lib.deployment.gate import Bounds

LABEL = "label"
PROBABILITIES = "probabilities"
SIGNATURE = "serving_tf_example"

_OVERALL, _BY_CLASS = tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[LABEL])


def eval_config(bounds: Bounds) -> tfma.EvalConfig:
    """What TFMA measures: accuracy of all test images and by class, with the bounds as its thresholds.

    (Its thresholds do not heed how few images there are, so :func:`compressor_lib.deployment.gate.judge` decides.)
    """
    thresholds = [
        tfma.PerSliceMetricThreshold(
            slicing_specs=[_OVERALL],
            threshold=tfma.MetricThreshold(
                # Without a baseline TFMA skips the change, so the bound on the value is always there.
                value_threshold=tfma.GenericValueThreshold(lower_bound={"value": bounds.min_accuracy}),
                change_threshold=_largest_drop(bounds.max_drop),
            ),
        )
    ]
    if bounds.max_class_drop is not None:
        threshold = tfma.MetricThreshold(change_threshold=_largest_drop(bounds.max_class_drop))
        thresholds.append(tfma.PerSliceMetricThreshold(slicing_specs=[_BY_CLASS], threshold=threshold))
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=SIGNATURE, label_key=LABEL, prediction_key=PROBABILITIES)],
        slicing_specs=[_OVERALL, _BY_CLASS],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name=Accuracy.__name__, module=Accuracy.__module__, per_slice_thresholds=thresholds
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )


def with_classes(config: tfma.EvalConfig, classes: Sequence[str], baseline: Sequence[str] | None) -> tfma.EvalConfig:
    """What TFMA measures once the models' class names are known.

    Args:
        config: From :func:`eval_config`.
        classes: The model's, by label.
        baseline: The baseline's, in its own order; None: there is no baseline.
    """
    known = tfma.EvalConfig()
    known.CopyFrom(config)
    names = {"classes": list(classes), "baseline_classes": None if baseline is None else list(baseline)}
    known.metrics_specs[0].metrics[0].config = json.dumps(names)
    return tfma.utils.update_eval_config_with_defaults(known, has_baseline=baseline is not None, rubber_stamp=True)


def bounds_of(config: tfma.EvalConfig, confidence: float | None) -> Bounds:
    """The bounds that :func:`eval_config` was made with."""
    overall, *by_class = (one.threshold for one in config.metrics_specs[0].metrics[0].per_slice_thresholds)
    return Bounds(
        min_accuracy=overall.value_threshold.lower_bound.value,
        max_drop=-overall.change_threshold.absolute.value,
        max_class_drop=-by_class[0].change_threshold.absolute.value if by_class else None,
        confidence=confidence,
    )


def _largest_drop(drop: float) -> tfma.GenericChangeThreshold:
    return tfma.GenericChangeThreshold(direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -drop})
