from __future__ import annotations

import json

import keras
import pytest

from components.report.data import Trial
from components.report.trials import read_trials
from compressor_lib.heads import attach_head
from compressor_lib.surgery import create_submodel

ROWS = [  # connection, accuracy, the hyperparameters of widths
    ("block_2_add->tail", 0.80, {"tail_units": 16}),
    ("block_5_add->head", 0.82, {"top_fc1_units": 4}),
    ("block_1_project_BN->head", 0.60, {}),
    ("block_4_project_BN->Conv_1", 0.50, {}),
    ("block_5_add->Conv_1 & block_2_add->tail", 0.70, {"tail_units": 16}),
]


@pytest.fixture(scope="module")
def trials(small_backbone, tmp_path_factory) -> list[Trial]:
    base = small_backbone()

    def parameters(connection: str, widths: dict[str, int]) -> int:
        first = connection.partition(" & ")[0]
        submodel = create_submodel(base, first, tail_units=widths.get("tail_units", 256))
        return attach_head(submodel, 3, units=widths.get("top_fc1_units", 0)).count_params()

    rows = [
        {
            "connection": connection, "parameters": parameters(connection, widths), "cost": 7.0, "accuracy": accuracy,
            "score": accuracy, "within_budget": True, "seconds": 1.0, "hyperparameters": {**widths, "lr": 0.01},
        }
        for connection, accuracy, widths in ROWS
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("search") / "search_report.json"
    path.write_text(json.dumps(rows))
    reference: keras.Model = attach_head(small_backbone(), 3)
    return read_trials(path, reference, cost="latency", measured=2)


def test_trials_are_in_their_order_with_families_and_widths(trials):
    assert [trial.connection for trial in trials] == [row[0] for row in ROWS]
    assert [trial.family for trial in trials] == ["tail", "truncation", "truncation", "rejoined", "two cuts"]
    assert [(trial.tail_units, trial.head_units) for trial in trials] == [(16, 0), (0, 4), (0, 0), (0, 0), (0, 0)]


def test_multiply_adds_are_counted_where_there_is_one_cut(trials):
    assert ["flops" in trial.costs for trial in trials] == [True, True, True, True, False]


def test_bytes_are_measured_of_the_winner_and_of_the_best(trials):
    """Two of them; the third truncation is on the front as well, and the rest are beaten by smaller ones."""
    assert ["bytes" in trial.costs for trial in trials] == [True, True, False, False, False]
    assert trials[0].costs["bytes"] > 4 * trials[0].costs["parameters"]


def test_what_the_search_saved_is_known_of_all(trials):
    assert all("latency" in trial.costs for trial in trials)
    assert trials[-1].costs["latency"] == 7.0
