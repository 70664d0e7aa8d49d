from __future__ import annotations

import csv

import keras
import pytest

from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.latency_table import DeviceYardstick, LatencyTable
from compressor_lib.deployment.operators import operators
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective.costs import converted
from compressor_lib.search import device_operators
from compressor_lib.search.device_operators import candidate_operators, files_to_measure, measured_table

TEXTS = ["add_1->last", "stem_relu->last", "stem_relu->project", "add_1->head", "add_1->tail", "stem_relu->tail"]


@pytest.fixture(scope="module")
def connections(residual):
    return [find_connection(text, residual) for text in TEXTS]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_candidates_have_the_operators_of_every_network(residual, connections, precision):
    found = candidate_operators(residual, connections, 3, tail_units=(4, 8), head_units=(0, 5), precision=precision)
    assert len(found) == len(set(found))
    for connection in connections:
        network = create_submodel(residual, connection, tail_units=8)
        tflite = converted(attach_head(network, 3, units=5 if connection.is_tail else 0), precision)
        assert set(operators(tflite)) <= set(found), connection


@pytest.mark.slow
def test_a_device_measures_each_operator_and_the_reference_model(residual, connections):
    reference = attach_head(residual, 3)
    files = files_to_measure(reference, [(residual, connections)], tail_units=(4,), precision="float16")
    assert next(iter(files)) == "reference"
    assert files["reference"] == converted(reference, "float16")
    wanted = candidate_operators(residual, connections, 3, tail_units=(4,))
    assert set(files) == {"reference", *wanted}
    assert all(operators(content) == [name] for name, content in files.items() if name != "reference")


def test_a_table_measured_here_gives_the_latency_of_the_reference_model(residual, connections, monkeypatch):
    monkeypatch.setattr(device_operators, "_SECONDS", 0.01)
    reference: keras.Model = attach_head(residual, 3)
    files = files_to_measure(reference, [(residual, connections[3:4])])
    text = measured_table(files)
    assert [row[0] for row in csv.reader(text.splitlines())] == ["operator", *files]
    table = LatencyTable.parse(text, "here.csv")
    monkeypatch.setattr("compressor_lib.deployment.latency_table.MOST_APART", 1e9)  # a tiny network is mostly calls
    yardstick = DeviceYardstick(table, files["reference"])
    assert yardstick.latency(files["reference"]) == pytest.approx(table.milliseconds["reference"])
