"""Accuracy, as TFMA computes it of two models, of all pictures and by class."""

from __future__ import annotations

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.testing.util import assert_that

from components.evaluator.accuracy import Accuracy
from components.evaluator.gating import eval_config
from compressor_lib.gate import Bounds

CLASSES, PICTURES = 5, 60
MODELS = ("baseline", "candidate")

LABELS = np.random.default_rng(0).integers(0, CLASSES, PICTURES)
PROBABILITIES = np.random.default_rng(1).dirichlet(np.ones(CLASSES), (len(MODELS), PICTURES)).astype(np.float32)
RIGHT = PROBABILITIES.argmax(-1) == LABELS


def config(confidence: float | None) -> tfma.EvalConfig:
    with_baseline = eval_config(Bounds(0.0, 1.0, 1.0, confidence))
    return tfma.utils.update_eval_config_with_defaults(with_baseline, has_baseline=True)


def extracts(number: int) -> tfma.Extracts:
    label = LABELS[number : number + 1]
    return {
        tfma.FEATURES_KEY: {"label": label},
        tfma.LABELS_KEY: dict.fromkeys(MODELS, label),
        tfma.PREDICTIONS_KEY: dict(zip(MODELS, PROBABILITIES[:, number], strict=True)),
        tfma.EXAMPLE_WEIGHTS_KEY: dict.fromkeys(MODELS, np.ones(1)),
    }


@pytest.mark.parametrize("model", MODELS)
def test_right_ones_are_counted_however_they_are_dealt(model):
    place = MODELS.index(model)
    computation = Accuracy().computations(eval_config=config(None), model_names=list(MODELS))[place]
    counting = computation.combiner
    groups = [counting.create_accumulator() for _ in range(4)]
    for number in range(PICTURES):
        groups[number % 3] = counting.add_input(  # the fourth stays empty
            groups[number % 3], tfma.metrics.to_standard_metric_inputs(extracts(number))
        )
    found = counting.extract_output(counting.merge_accumulators(iter(groups)))
    (key,) = computation.keys
    assert (key.name, key.model_name) == ("accuracy", model)
    assert found == {key: RIGHT[place].mean()}


def test_of_no_pictures_there_is_none():
    (computation,) = Accuracy().computations(eval_config=config(None))
    (value,) = computation.combiner.extract_output(computation.combiner.create_accumulator()).values()
    assert np.isnan(value)


@pytest.mark.slow
def test_tfma_computes_it_by_class_with_differences_and_standard_errors():
    asked = config(0.95)

    def check(found: list) -> None:
        by_slice = dict(found)
        assert len(by_slice) == 1 + CLASSES
        for label in (None, *range(CLASSES)):
            of_slice = np.ones(PICTURES, bool) if label is None else label == LABELS
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
            assert {key: value.unsampled_value for key, value in values.items()} == pytest.approx(expected)
            if label is None:  # TFMA deals at random, so it is about what a share of so many has
                share = np.sqrt(candidate * (1 - candidate) / PICTURES)
                assert share / 3 < values["candidate", False].sample_standard_deviation < 3 * share

    slices = [tfma.slicer.SingleSliceSpec(spec=one) for one in asked.slicing_specs]
    with beam.Pipeline() as pipeline:
        evaluation = (
            pipeline
            | beam.Create(range(PICTURES))
            | beam.Map(extracts)
            | tfma.extractors.SliceKeyExtractor(slice_spec=slices, materialize=False).ptransform
            | tfma.evaluators.MetricsPlotsAndValidationsEvaluator(eval_config=asked).ptransform
        )
        assert_that(evaluation["metrics"], check)
