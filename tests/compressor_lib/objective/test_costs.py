from __future__ import annotations

import keras
import numpy as np
import pytest

from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.latency import BLOCKS, ROUNDS, Timings
from compressor_lib.deployment.tflite import to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.errors import CompressorError
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.macs import multiply_adds
from compressor_lib.objective import costs
from compressor_lib.objective.costs import COSTS, COUNTED, Budgets, Yardstick, counted_costs, measure_costs


@pytest.fixture(scope="module")
def classifier(residual) -> keras.Model:
    return attach_head(create_submodel(residual, "add_1->tail", tail_units=5), 3)


@pytest.mark.slow
def test_the_costs_of_a_classifier(classifier):
    measured = measure_costs(classifier, COSTS)
    assert list(measured) == ["parameters", "macs", "bytes", "latency", "memory"]
    assert measured["parameters"] == classifier.count_params()
    assert measured["macs"] == multiply_adds(classifier)
    assert measured["bytes"] == pytest.approx(len(to_tflite(classifier)), rel=0.01)
    assert 0 < measured["latency"] < 100
    assert measured["memory"] == 2 * 16 * 16 * 3 / 1024  # the image and its copy in int8


def test_a_model_is_converted_once_and_only_where_needed(classifier, monkeypatch):
    converted = []
    monkeypatch.setattr(
        costs, "to_tflite", lambda model, **kwargs: converted.append(model) or to_tflite(model, **kwargs)
    )
    assert measure_costs(classifier, ["parameters", "macs"]).keys() == {"parameters", "macs"}
    assert converted == []
    measure_costs(classifier, ["bytes", "latency", "memory"])
    assert converted == [classifier]


def test_bytes_count_the_metadata_where_the_classes_are_known(classifier):
    names = ["a", "b", "a class with a long name"]
    alone, deployed = (measure_costs(classifier, ["bytes"], class_names=given)["bytes"] for given in (None, names))
    assert deployed - alone == pytest.approx(len(with_metadata(to_tflite(classifier), names)) - alone, abs=64)
    assert deployed > alone + 500


def test_int8_bytes_do_not_depend_on_the_images_of_the_calibration(classifier, pixels):
    images = pixels(20, 16)
    expected = len(to_tflite(classifier, precision="int8", calibration=images))
    assert measure_costs(classifier, ["bytes"], precision="int8")["bytes"] == expected


@pytest.mark.parametrize("slowdown", [1.0, 3.0])
def test_latency_does_not_depend_on_the_machines_current_speed(classifier, monkeypatch, slowdown):
    def slow(models, **_):
        milliseconds = {b"reference": 8.0 * slowdown, b"model": 2.0 * slowdown}
        return Timings({name: np.full((BLOCKS, ROUNDS), milliseconds[tflite]) for name, tflite in models.items()})

    monkeypatch.setattr(costs, "time_models", slow)
    monkeypatch.setattr(costs, "to_tflite", lambda *_, **__: b"model")
    assert measure_costs(classifier, ["latency"], Yardstick(b"reference", 8.0)) == {"latency": 2.0}
    assert measure_costs(classifier, ["latency"]) == {"latency": 2.0 * slowdown}


def test_unknown_cost_is_rejected(classifier):
    with pytest.raises(CompressorError, match="unknown cost 'latncy'. Did you mean 'latency'"):
        measure_costs(classifier, ["latncy"])


@pytest.mark.parametrize("text", ["add_1->last", "stem_relu->last", "stem_relu->project", "add_1->head", "add_1->tail"])
@pytest.mark.parametrize("head_units", [0, 7])
def test_counted_is_what_the_built_model_has(residual, text, head_units):
    connection = find_connection(text, residual)
    built = attach_head(create_submodel(residual, connection, tail_units=5), 3, units=head_units)
    counted = counted_costs(residual, connection, 3, tail_units=5, head_units=head_units)
    assert tuple(counted) == COUNTED
    assert (counted["parameters"], counted["macs"]) == (built.count_params(), multiply_adds(built))


@pytest.mark.slow
def test_counted_costs_match_a_published_network(mobilenet_v2):
    for connection in (
        Connection.rejoin("block_5_add", "Conv_1"),
        Connection.head("block_5_add"),
        Connection.tail("block_5_add"),
    ):
        built = attach_head(create_submodel(mobilenet_v2, connection), 10)
        counted = counted_costs(mobilenet_v2, connection, 10)
        assert (counted["parameters"], counted["macs"]) == (built.count_params(), multiply_adds(built))
        assert 0 < counted["memory"] <= measure_costs(built, ["memory"])["memory"]


def test_budgets_are_met_or_exceeded():
    budgets = Budgets({"parameters": 500_000, "latency": 8})
    assert budgets.within({"parameters": 500_000, "latency": 8.0, "bytes": 10**9})
    over = {"parameters": 400_000, "latency": 10.004}
    assert not budgets.within(over)
    assert budgets.excess(over) == pytest.approx(10.004 / 8)
    assert budgets.exceeded(over) == "10.004 ms (budget: 8)"
    over["parameters"] = 1_234_567
    assert budgets.exceeded(over) == "1,234,567 parameters (budget: 500,000) and 10.004 ms (budget: 8)"


def test_missing_costs_are_ignored():
    assert Budgets({"latency": 8}).within({"parameters": 10**9})
    assert Budgets({}).within({"parameters": 10**9})


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"parametres": 5}, "Did you mean 'parameters'"),
        ({"latency": 0}, "the budget of latency is 0: give a number of ms above 0"),
        ({"macs": float("nan")}, "a number of multiply-adds above 0"),
    ],
)
def test_invalid_budgets_are_rejected(limits, message):
    with pytest.raises(CompressorError, match=message):
        Budgets(limits)
