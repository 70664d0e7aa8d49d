"""The gate in TFMA's terms. That TFMA measures what is read here, whole runs show."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2

from components.evaluator.gating import bounds_of, eval_config, interval, measured
from compressor_lib.gate import Bounds, Figure, Judged

Metrics = metrics_for_slice_pb2.MetricsForSlice


@pytest.mark.parametrize("bounds", [Bounds(0.5, 0.25), Bounds(0.5, 0.25, 0.125, 0.95), Bounds(0.5, 0.0, 0.0)])
def test_bounds_are_tfmas_thresholds(bounds):
    config = eval_config(bounds)
    assert bounds_of(config, bounds.confidence) == bounds
    assert config.options.compute_confidence_intervals.value == (bounds.confidence is not None)
    tfma.utils.verify_eval_config(tfma.utils.update_eval_config_with_defaults(config, has_baseline=True))


def metrics(label: int | None, pictures: int, *, error: float | None = None, **values: float) -> Metrics:
    found = Metrics()
    if label is not None:
        found.slice_key.single_slice_keys.add(column="label", int64_value=label)
    count = found.metric_keys_and_values.add()
    count.key.name, count.value.double_value.value = "example_count", pictures
    for name, value in values.items():
        one = found.metric_keys_and_values.add()
        one.key.name, one.value.double_value.value = "accuracy", value
        one.key.model_name = {"alone": "", "diff": "candidate"}.get(name, name)
        one.key.is_diff = name == "diff"
        if error is not None:
            one.confidence_interval.standard_error.double_value.value = error
            one.confidence_interval.degrees_of_freedom.value = 19
    return found


def test_metrics_are_read_by_class():
    given = [
        metrics(1, 4, candidate=0.5, baseline=0.75, diff=-0.25),
        metrics(None, 12, candidate=0.75, baseline=0.5, diff=0.25),
        metrics(0, 8, candidate=1.0, baseline=0.5, diff=0.5),
    ]
    overall, classes = measured(given, ["cat", "dog", "emu"], None)
    assert overall == Judged("", 12, Figure(0.75), Figure(0.5), Figure(0.25))
    assert classes == [
        Judged("cat", 8, Figure(1.0), Figure(0.5), Figure(0.5)),
        Judged("dog", 4, Figure(0.5), Figure(0.75), Figure(-0.25)),
    ]


def test_without_a_baseline_there_is_nothing_to_compare():
    overall, _ = measured([metrics(None, 12, alone=0.75)], [], None)
    assert overall == Judged("", 12, Figure(0.75))


def test_with_a_confidence_each_figure_has_its_interval():
    overall, (cat,) = measured(
        [metrics(None, 100, error=0.02, candidate=0.5, baseline=0.5, diff=0.0), metrics(0, 1, alone=1.0)], ["cat"], 0.95
    )
    reach = 1.7291 * np.hypot(0.02, 0.01)  # Student's t, 19 degrees of freedom, one-sided
    assert overall.change is not None
    assert overall.change.low == pytest.approx(-reach, abs=1e-4)
    assert overall.change.high == pytest.approx(reach, abs=1e-4)
    # Of a single picture the jackknife has no standard error.
    assert (cat.accuracy.low, cat.accuracy.high) == (0.0, 1.0)


def test_agreement_on_few_pictures_says_little():
    few, many = (interval(0.0, 0.0, 19, pictures, 0.95, (-1, 1)) for pictures in (10, 1000))
    assert few.at_least < -0.15
    assert many.at_least > -0.002


def test_the_lower_end_is_missed_as_seldom_as_the_confidence_says():
    """By simulation: pairs of models that lose 3 points, judged on 200 pictures, 20 jackknife groups."""
    random = np.random.default_rng(0)
    loss, missed, tries = 0.03, 0, 2000
    for _ in range(tries):
        # Of each picture: -1 where only the baseline is right, 1 where only the model is.
        changes = random.choice([-1.0, 0.0, 1.0], 200, p=[0.06, 0.91, 0.03])
        groups = random.integers(0, 20, 200)
        without = np.array([changes[groups != group].mean() for group in range(20)])
        value = changes.mean()
        error = np.std(20 * value - 19 * without, ddof=1) / np.sqrt(20)
        missed += interval(value, error, 19, 200, 0.95, (-1, 1)).at_least > -loss
    assert abs(missed / tries - 0.05) < 0.02
