"""Accuracy, as TFMA computes it of two models, of all images and by class."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.testing.util import assert_that

from components.evaluator.accuracy import Accuracy
from components.evaluator.tfma_config import eval_config, with_classes
from compressor_lib.deployment.gate import Thresholds

CLASSES, IMAGES = 5, 60
MODELS = ("baseline", "candidate")
NAMES = [f"class{number}" for number in range(CLASSES)]

LABELS = np.random.default_rng(0).integers(0, CLASSES, IMAGES)
PROBABILITIES = np.random.default_rng(1).dirichlet(np.ones(CLASSES), (len(MODELS), IMAGES)).astype(np.float32)
RIGHT = PROBABILITIES.argmax(-1) == LABELS


def config() -> tfma.EvalConfig:
    return with_classes(eval_config(Thresholds(0.0, 1.0, 1.0)), NAMES, NAMES)


def extracts(number: int) -> tfma.Extracts:
    label = LABELS[number : number + 1]
    return {
        tfma.FEATURES_KEY: {"label": label},
        tfma.LABELS_KEY: dict.fromkeys(MODELS, label),
        tfma.PREDICTIONS_KEY: dict(zip(MODELS, PROBABILITIES[:, number], strict=True)),
        tfma.EXAMPLE_WEIGHTS_KEY: dict.fromkeys(MODELS, np.ones(1)),
    }


@pytest.mark.parametrize("model", MODELS)
def test_correct_predictions_are_counted_in_any_grouping(model):
    place = MODELS.index(model)
    computation = Accuracy().computations(eval_config=config(), model_names=list(MODELS))[place]
    counting = computation.combiner
    groups = [counting.create_accumulator() for _ in range(4)]
    for number in range(IMAGES):
        groups[number % 3] = counting.add_input(  # the fourth stays empty
            groups[number % 3], tfma.metrics.to_standard_metric_inputs(extracts(number))
        )
    found = counting.extract_output(counting.merge_accumulators(iter(groups)))
    (key,) = computation.keys
    assert (key.name, key.model_name) == ("accuracy", model)
    assert found == {key: RIGHT[place].mean()}


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [1, 2, 3], [2, 0]])
def test_baseline_uses_its_own_class_names(order):
    """It has some of the classes, in another order; images of the others do not count for it."""
    metric = Accuracy(classes=NAMES, baseline_classes=[NAMES[number] for number in order])
    baseline, candidate = metric.computations(eval_config=config(), model_names=list(MODELS))
    probabilities = PROBABILITIES[0][:, order]
    found = {}
    for computation in (baseline, candidate):
        counts = computation.combiner.create_accumulator()
        for number in range(IMAGES):
            one = extracts(number)
            one[tfma.PREDICTIONS_KEY]["baseline"] = probabilities[number]
            counts = computation.combiner.add_input(counts, tfma.metrics.to_standard_metric_inputs(one))
        ((key, value),) = computation.combiner.extract_output(counts).items()
        found[key.model_name] = value
    common = np.isin(LABELS, order)
    predicted = np.array(order)[probabilities.argmax(-1)]
    assert found == {"baseline": (predicted == LABELS)[common].mean(), "candidate": RIGHT[1].mean()}


def test_no_images_give_no_accuracy():
    (computation,) = Accuracy().computations(eval_config=config())
    (value,) = computation.combiner.extract_output(computation.combiner.create_accumulator()).values()
    assert np.isnan(value)


@pytest.mark.slow
def test_tfma_computes_it_by_class_with_differences():
    asked = config()

    def check(found: list) -> None:
        by_slice = dict(found)
        assert len(by_slice) == 1 + CLASSES
        for label in (None, *range(CLASSES)):
            of_slice = np.ones(IMAGES, bool) if label is None else label == LABELS
            values = {
                (key.model_name, key.is_diff): value
                for key, value in by_slice[() if label is None else (("label", label),)].items()
                if key.name == "accuracy"
            }
            baseline, candidate = RIGHT[:, of_slice].mean(1)
            expected = {
                ("baseline", False): baseline,
                ("candidate", False): candidate,
                ("candidate", True): candidate - baseline,
            }
            assert values == pytest.approx(expected)

    slices = [tfma.slicer.SingleSliceSpec(spec=one) for one in asked.slicing_specs]
    with beam.Pipeline() as pipeline:
        evaluation = (
            pipeline
            | beam.Create(range(IMAGES))
            | beam.Map(extracts)
            | tfma.extractors.SliceKeyExtractor(slice_spec=slices, materialize=False).ptransform
            | tfma.evaluators.MetricsPlotsAndValidationsEvaluator(eval_config=asked).ptransform
        )
        assert_that(evaluation["metrics"], check)
