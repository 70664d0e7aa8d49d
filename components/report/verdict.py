"""What the gate said of a model, in words."""

from __future__ import annotations

from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types

from components.report.data import Verdict


def read_verdict(evaluation: types.Artifact, pushed_model: types.Artifact) -> Verdict:
    """Reads whether a model was let pass, why not, and where it went.

    Args:
        evaluation: The Evaluator's, with its validation.
        pushed_model: The Pusher's.
    """
    validation = tfma.load_validation_result(evaluation.uri)
    reasons = [
        _reason(failure)
        for slice_validation in validation.metric_validations_per_slice
        for failure in slice_validation.failures
    ]
    pushed = pushed_model.get_int_custom_property("pushed")
    destination = pushed_model.get_string_custom_property("pushed_destination") if pushed else None
    return Verdict(bool(validation.validation_ok), reasons, destination or None)


def _reason(failure: Any) -> str:
    value = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    if threshold.HasField("change_threshold"):
        allowed = -threshold.change_threshold.absolute.value
        return (
            f"accuracy changes by {100 * value:+.2f} points against the baseline; "
            f"gate.max_drop allows a drop of {100 * allowed:.2f}"
        )
    return f"accuracy is {value:.2%}; gate.min_accuracy asks for {threshold.value_threshold.lower_bound.value:.2%}"
