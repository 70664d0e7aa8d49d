"""Accuracy as a TFMA metric that counts images and matches classes by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.constants import BASELINE_KEY

NAME = "accuracy"


class Accuracy(tfma.metrics.Metric):
    """Share of the images whose most likely class has the name of their label.

    TFMA's own accuracy comes from Keras. It takes some 20 ms per slice, however few images the slice has, and compares
    indices. This metric counts instead, as a custom metric:
    https://www.tensorflow.org/tfx/model_analysis/metrics#custom_tfma_metrics
    """

    def __init__(
        self, name: str = NAME, classes: Sequence[str] | None = None, baseline_classes: Sequence[str] | None = None
    ) -> None:
        """Creates the metric.

        Args:
            name: Name of the metric.
            classes: Class names of the candidate, which the labels refer to; None to compare indices.
            baseline_classes: Class names of the baseline. Images of other classes do not count for the baseline.
        """
        super().__init__(
            tfma.metrics.merge_per_key_computations(_computations),
            name=name,
            classes=None if classes is None else list(classes),
            baseline_classes=None if baseline_classes is None else list(baseline_classes),
        )


def _computations(
    name: str,
    eval_config: tfma.EvalConfig,
    model_name: str = "",
    output_name: str = "",
    classes: list[str] | None = None,
    baseline_classes: list[str] | None = None,
) -> list[tfma.metrics.MetricComputation]:
    key = tfma.metrics.MetricKey(name=name, model_name=model_name, output_name=output_name)
    indices = None
    if classes is not None and baseline_classes is not None and model_name == BASELINE_KEY:
        own = {one: number for number, one in enumerate(baseline_classes)}
        indices = {label: own[one] for label, one in enumerate(classes) if one in own}
    counting = _CountCorrect(key, eval_config, indices)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=counting)]


class _CountCorrect(beam.CombineFn):
    """Counts images and correct predictions."""

    def __init__(
        self, key: tfma.metrics.MetricKey, eval_config: tfma.EvalConfig, indices: dict[int, int] | None
    ) -> None:
        self._key, self._eval_config, self._indices = key, eval_config, indices

    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, counts: tuple[int, int], element: tfma.metrics.StandardMetricInputs) -> tuple[int, int]:
        right, images = counts
        for label, probabilities, _ in tfma.metrics.to_label_prediction_example_weight(
            element, self._eval_config, self._key.model_name, self._key.output_name, flatten=False
        ):
            expected = label.item() if self._indices is None else self._indices.get(label.item())
            if expected is not None:
                right += int(np.argmax(probabilities) == expected)
                images += 1
        return right, images

    def merge_accumulators(self, accumulators: Iterable[tuple[int, int]]) -> tuple[int, int]:
        right, images = zip(*accumulators, strict=True)
        return sum(right), sum(images)

    def extract_output(self, counts: tuple[int, int]) -> dict[tfma.metrics.MetricKey, float]:
        right, images = counts
        return {self._key: right / images if images else float("nan")}
