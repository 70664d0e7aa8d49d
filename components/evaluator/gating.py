"""The gate in TFMA's terms: what it is told to measure, and what is read from what it measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tensorflow_model_analysis as tfma
from scipy import stats
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from components.evaluator.accuracy import NAME, Accuracy
from compressor_lib.gate import Bounds, Figure, Judged

LABEL = "label"
_COUNT = "example_count"
_OVERALL, _BY_CLASS = tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[LABEL])


def eval_config(bounds: Bounds) -> tfma.EvalConfig:
    """What TFMA measures: accuracy of all test pictures and by class, with the bounds as its thresholds.

    With a confidence, TFMA adds standard errors by its jackknife: the pictures are dealt into 20 groups at random, and
    the metrics are computed without each in turn, differences between the two models included. (Its thresholds do
    not heed them, so :func:`compressor_lib.gate.judge` does.)
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
    if bounds.per_class is not None:
        threshold = tfma.MetricThreshold(change_threshold=_largest_drop(bounds.per_class))
        thresholds.append(tfma.PerSliceMetricThreshold(slicing_specs=[_BY_CLASS], threshold=threshold))
    options = tfma.Options()
    if bounds.confidence is not None:
        options.compute_confidence_intervals.value = True
        options.confidence_intervals.method = tfma.ConfidenceIntervalOptions.JACKKNIFE
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(signature_name="serving_tf_example", label_key=LABEL, prediction_key="probabilities")
        ],
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
        options=options,
    )


def bounds_of(config: tfma.EvalConfig, confidence: float | None) -> Bounds:
    """The bounds that :func:`eval_config` was made with."""
    overall, *by_class = (one.threshold for one in config.metrics_specs[0].metrics[0].per_slice_thresholds)
    return Bounds(
        min_accuracy=overall.value_threshold.lower_bound.value,
        max_drop=-overall.change_threshold.absolute.value,
        per_class=-by_class[0].change_threshold.absolute.value if by_class else None,
        confidence=confidence,
    )


def measured(
    metrics: Iterable[metrics_for_slice_pb2.MetricsForSlice], names: Sequence[str], confidence: float | None
) -> tuple[Judged, list[Judged]]:
    """Reads TFMA's metrics.

    Args:
        metrics: As ``tfma.load_metrics`` gives them.
        names: Names of the classes, by label.
        confidence: Of the intervals; None: there are none.

    Returns:
        The model on all pictures, and on those of each class that has any, by label.
    """
    overall, classes = None, {}
    for one in metrics:
        judged = _judged(one, confidence)
        if not one.slice_key.single_slice_keys:
            overall = judged
        else:
            label = one.slice_key.single_slice_keys[0].int64_value
            classes[label] = replace(judged, name=names[label])
    assert overall is not None, "TFMA always has the slice of everything"
    return overall, [classes[label] for label in sorted(classes)]


def interval(
    value: float,
    standard_error: float | None,
    degrees: int,
    pictures: int,
    confidence: float,
    limits: tuple[float, float],
) -> Figure:
    """A figure with an interval, each end of which holds with the confidence given.

    The standard error is taken as if one more picture had made a difference, half of it for the better and half for
    the worse (Agresti and Min, Statistics in Medicine 24, 2005): where two models agree on a few pictures, or one is
    right on all of them, the error that is measured is 0, and says little.

    Args:
        value: What was measured.
        standard_error: Of it; None where it could not be measured: the largest possible is taken.
        degrees: Degrees of freedom of the standard error.
        pictures: How many it was measured on.
        confidence: Of each end.
        limits: Least and largest possible value.
    """
    low, high = limits
    if standard_error is None:
        standard_error = (high - low) / 2 / math.sqrt(pictures)
    reach = float(stats.t.ppf(confidence, degrees)) * math.hypot(standard_error, 1 / pictures)
    return Figure(value, max(low, value - reach), min(high, value + reach))


def _largest_drop(drop: float) -> tfma.GenericChangeThreshold:
    return tfma.GenericChangeThreshold(direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -drop})


def _judged(metrics: metrics_for_slice_pb2.MetricsForSlice, confidence: float | None) -> Judged:
    found: Mapping[tuple[str, str, bool], Any] = {
        (one.key.name, one.key.model_name, one.key.is_diff): one for one in metrics.metric_keys_and_values
    }
    pictures = round(next(one.value.double_value.value for key, one in found.items() if key[0] == _COUNT))

    def figure(model: str, limits: tuple[float, float] = (0.0, 1.0), *, is_diff: bool = False) -> Figure | None:
        one = found.get((NAME, model, is_diff))
        if one is None:
            return None
        value = one.value.double_value.value
        if confidence is None:
            return Figure(value)
        spread = one.confidence_interval
        error = spread.standard_error.double_value.value if one.HasField("confidence_interval") else None
        return interval(value, error, spread.degrees_of_freedom.value or 19, pictures, confidence, limits)

    # With a single model, TFMA gives it no name.
    accuracy = figure("candidate") or figure("")
    assert accuracy is not None
    return Judged("", pictures, accuracy, figure("baseline"), figure("candidate", (-1.0, 1.0), is_diff=True))
