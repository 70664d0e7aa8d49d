from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest

from components.artifacts.device_latencies import DeviceLatencies
from components.report.data import Finalist, Trial
from components.report.networks import SearchedNetworks
from components.report.trials import read_finalists, read_trials
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.deployment.latency import Timings
from compressor_lib.deployment.model_metrics import REFERENCE, Latency, ModelMetrics
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import ConversionError, to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective import costs
from compressor_lib.search import finalists as search

ROWS = [  # connection, accuracy, the hyperparameters of widths
    ("block_2_add->tail", 0.80, {"tail_units": 16}),
    ("block_5_add->head", 0.82, {"top_fc1_units": 4}),
    ("block_1_project_BN->head", 0.60, {}),
    ("block_4_project_BN->Conv_1", 0.50, {}),
]


NAMES = ["dress", "hat", "shoes"]
SHIPPED_MS, REFERENCE_MS = 7.5, 20.0
METRICS = ModelMetrics(
    1,
    {
        "float32": Latency(SHIPPED_MS, 7.0, 8.0),
        "int8": Latency(2.5, 2.4, 2.6),
        REFERENCE: Latency(REFERENCE_MS, 19.0, 21.0),
    },
    bytes={"float32": 4321, "int8": 1234},
    memory={"int8": 8192},
)


@pytest.fixture(scope="module")
def read(small_backbone, tmp_path_factory):
    """Reads the trials of a search that saved some cost."""
    base = small_backbone()

    def network(connection: str, widths: dict[str, int]) -> keras.Model:
        submodel = create_submodel(base, connection, tail_units=widths.get("tail_units", 256))
        return attach_head(submodel, 3, units=widths.get("top_fc1_units", 0))

    rows = [
        {
            "trial_id": f"{number}", "backbone": "small", "input_size": 32, "connection": connection,
            "parameters": network(connection, widths).count_params(), "cost": 7.0,
            "accuracy": accuracy, "score": accuracy, "within_budget": True, "seconds": 1.0,
            "hyperparameters": {**widths, "lr": 0.01},
        }
        for number, (connection, accuracy, widths) in enumerate(ROWS)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("search") / "search_report.json"
    path.write_text(json.dumps(rows))
    reference: keras.Model = attach_head(small_backbone(), 3)

    def trials(
        cost: str,
        metrics: ModelMetrics = METRICS,
        precision: Precision = "float32",
        device: DeviceLatencies | None = None,
    ) -> list[Trial]:
        return read_trials(
            path, SearchedNetworks(reference), cost=cost, metrics=metrics, class_names=NAMES, precision=precision,
            measured=2, device=device,
        )  # fmt: skip

    return trials


@pytest.fixture(scope="module")
def trials(read) -> list[Trial]:
    return read("latency")


def test_trials_are_in_their_order_with_families_and_widths(trials):
    assert [trial.connection for trial in trials] == [row[0] for row in ROWS]
    assert [trial.family for trial in trials] == ["tail", "truncation", "truncation", "rejoining"]
    assert [(trial.tail_units, trial.head_units) for trial in trials] == [(16, 0), (0, 4), (0, 0), (0, 0)]


def test_multiply_adds_are_counted_for_every_network(trials):
    assert ["macs" in trial.costs for trial in trials] == [True, True, True, True]


def test_bytes_are_measured_of_the_winner_and_of_the_best(trials):
    """Two of them; the third truncation is on the front as well, and the rest are beaten by smaller ones."""
    assert ["bytes" in trial.costs for trial in trials] == [True, True, False, False]
    assert trials[0].costs["bytes"] == METRICS.bytes["float32"]
    assert trials[1].costs["bytes"] > 4 * trials[1].costs["parameters"]


def test_latencies_of_a_devices_table_are_those_of_all_trials(read, monkeypatch):
    monkeypatch.setattr(costs, "time_models", None)  # nothing is timed here
    device = DeviceLatencies("phone.csv", "float32", 9.0, {"0": 1.0, "1": 2.0, "2": 3.0, "3": 4.0})
    trials = read("parameters", device=device)
    assert [trial.costs["latency"] for trial in trials] == [1.0, 2.0, 3.0, 4.0]
    assert "bytes" in trials[1].costs


def test_finalists_are_read_with_their_epochs(tmp_path):
    path = tmp_path / "finalists.json"
    assert read_finalists(path) == []
    finalist = search.Finalist(
        "03", "MobileNet", 96, "a->head", 100, cost=7.0, accuracy_before=0.5, accuracy=0.75, score=0.6,
        history={"val_accuracy": [0.75, 0.7], "best_epoch": [1.0]},
    )  # fmt: skip
    search.write_finalists([finalist], path)
    assert read_finalists(path) == [Finalist("MobileNet", 96, "a->head", 100, 0.5, 0.75, 0.6, [0.75, 0.7])]


def test_memory_is_measured_with_the_bytes(trials):
    # Of the whole network, the first convolution's output and the depthwise's; of the winner, what the Converter said.
    assert ["memory" in trial.costs for trial in trials] == [True, True, False, False]
    assert trials[0].costs["memory"] == 8
    assert trials[1].costs["memory"] * 1024 >= 2 * 32 * 32 * 3


def test_bytes_are_those_of_the_format_that_ships(read):
    in_float32, in_int8 = (read("latency", precision=precision) for precision in ("float32", "int8"))
    assert in_int8[0].costs["bytes"] == METRICS.bytes["int8"]
    assert in_int8[0].costs["latency"] == METRICS.latency["int8"].median
    assert in_int8[1].costs["bytes"] < in_float32[1].costs["bytes"]
    assert in_int8[1].costs["memory"] == in_float32[1].costs["memory"]


def test_what_the_search_measured_is_left_but_of_the_winner_which_is_the_shipped_network(trials):
    assert [trial.costs["latency"] for trial in trials] == [SHIPPED_MS, 7.0, 7.0, 7.0]


def test_latencies_that_the_search_did_not_take_are_told_beside_the_references(read, monkeypatch):
    """The machine is three times as slow now as when the deployed model was timed."""

    def time_models(files, **_):
        return Timings({name: np.full((15, 7), 3 * REFERENCE_MS / (1 + place)) for place, name in enumerate(files)})

    monkeypatch.setattr(costs, "time_models", time_models)
    found = read("parameters")
    assert [trial.costs.get("latency") for trial in found] == [SHIPPED_MS, REFERENCE_MS / 2, None, None]


def test_bytes_are_those_of_a_file_that_is_deployed(trials, small_backbone):
    network = attach_head(create_submodel(small_backbone(), "block_5_add->head"), 3, units=4)
    alone = to_tflite(network)
    assert trials[1].costs["bytes"] == pytest.approx(len(with_metadata(alone, NAMES)), abs=64)  # padding of names
    assert trials[1].costs["bytes"] > len(alone) + 500


def test_what_does_not_convert_has_no_bytes_and_no_latency(read, monkeypatch):
    def fail(model: keras.Model, **_: object) -> bytes:
        raise ConversionError("the network does not convert", "it does not convert")

    monkeypatch.setattr(costs, "to_tflite", fail)
    found = read("latency")
    assert ["bytes" in trial.costs for trial in found] == [True, False, False, False]
    missing = dataclasses.replace(METRICS, latency={}, bytes={})
    assert all({"bytes", "latency"}.isdisjoint(trial.costs) for trial in read("parameters", missing))
