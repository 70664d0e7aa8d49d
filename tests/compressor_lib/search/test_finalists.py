from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.search.finalists import (
    Finalist,
    distinct_networks,
    finalist_training,
    ranked_finalists,
    retrain_finalists,
    write_finalists,
)
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import TrialReport, run_search, trial_reports
from compressor_lib.training.options import Augmentation, RetrainingOptions, TrainingOptions

REPORT = TrialReport(
    "0", "residual", 16, "add_1->head", 100, cost=100.0, compression=0.5, within_budget=True, accuracy=0.8, score=0.7,
    examples=100, seconds=1.0, hyperparameters={},
)  # fmt: skip
CUTS = ["add_1->head", "add_2->head", "stem_relu->head"]
QUIET = Augmentation(flip=False, rotation=0, zoom=0, translation=0, contrast=0)


def hypermodel(base, **changed) -> HyperCompressor:
    return HyperCompressor(
        3000, 3, changed.pop("tau", 0.6), backbone=base, connections=CUTS,
        head_units=[0], dropout=0.5, loss="sparse_categorical_crossentropy", learning_rates=(0.01, 0.1), **changed,
    )  # fmt: skip


def finalist(name: str, accuracy: float, cost: float, tau: float = 0.6) -> Finalist:
    score = tau * accuracy + (1 - tau) * (1 - cost / 1000)
    return Finalist(name, "residual", 16, f"{name}->head", int(cost), cost, 0.5, accuracy, score, {})


def test_trials_of_one_network_are_one_finalist():
    reports = [
        REPORT,
        replace(REPORT, trial_id="1"),
        replace(REPORT, trial_id="2", connection="add_2->head", within_budget=False),
        replace(REPORT, trial_id="3", parameters=101),
        replace(REPORT, trial_id="5", input_size=32),
        replace(REPORT, trial_id="4", connection="stem_relu->head"),
    ]
    assert [report.trial_id for report in distinct_networks(reports, 4)] == ["0", "3", "5", "4"]
    assert [report.trial_id for report in distinct_networks(reports, 2)] == ["0", "3"]


def test_of_finalists_within_a_standard_error_the_cheapest_wins(residual):
    # One standard error of 90 % on 100 images is 3 points.
    finalists = [finalist("large", 0.90, 500), finalist("small", 0.88, 495), finalist("bad", 0.50, 490)]
    ranked = ranked_finalists(finalists, hypermodel(residual), examples=100)
    assert [each.trial_id for each in ranked] == ["small", "large", "bad"]
    sure = ranked_finalists(finalists, hypermodel(residual), examples=10**6)
    assert [each.trial_id for each in sure] == ["large", "small", "bad"]
    assert ranked_finalists(finalists, hypermodel(residual), examples=0) == sure


def test_the_objective_weighs_the_cost_of_finalists(residual):
    finalists = [finalist("large", 0.90, 900), finalist("small", 0.80, 100)]
    ranked = ranked_finalists(finalists, hypermodel(residual), examples=10**6)
    assert [each.trial_id for each in ranked] == ["small", "large"]


def test_within_budgets_the_largest_of_equally_accurate_finalists_wins(residual):
    finalists = [finalist("small", 0.90, 400, tau=1), finalist("large", 0.89, 500, tau=1)]
    free, budgeted = hypermodel(residual, tau=1), hypermodel(residual, tau=1, budgets={"parameters": 1000})
    assert ranked_finalists(finalists, free, examples=100)[0].trial_id == "small"
    assert ranked_finalists(finalists, budgeted, examples=100)[0].trial_id == "large"


def test_finalists_are_retrained_like_the_winner_but_briefly_and_without_a_teacher():
    training = finalist_training(RetrainingOptions(learning_rate=0.5, batch_norm="train", augmentation=QUIET), 2)
    assert training == TrainingOptions(
        head_epochs=0, epochs=2, learning_rate=0.5, batch_norm="train", augmentation=QUIET, distillation=None
    )


@pytest.fixture(scope="module")
def data(labelled) -> list[tf.data.Dataset]:
    sets = [labelled(48), labelled(24, seed=1)]
    pixels = [(np.clip(x * 60 + 128, 0, 255).astype(np.uint8), y) for x, y in sets]
    return [tf.data.Dataset.from_tensor_slices(pair).batch(16) for pair in pixels]


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_the_best_finalist_becomes_the_searchs_winner(residual, data, tmp_path, caplog):
    compressor = hypermodel(residual)

    def searched() -> kt.Tuner:
        options = SearchOptions("random", 3, 1, first=[{"translator": cut} for cut in CUTS])
        return run_search(compressor, *data, options, tmp_path / "search")

    def retrained(tuner: kt.Tuner, count: int):
        training = TrainingOptions(head_epochs=0, epochs=2, learning_rate=0.01, augmentation=QUIET)
        return retrain_finalists(
            tuner, compressor, lambda size: data if size == 16 else [], training, tmp_path / "finalists", count=count
        )

    tuner = searched()
    before = trial_reports(tuner, compressor)
    finalists, model = retrained(tuner, count=2)

    assert len(finalists) == 2
    assert {each.trial_id for each in finalists} == {report.trial_id for report in distinct_networks(before, 2)}
    assert all(len(each.history["val_accuracy"]) == 2 for each in finalists)
    winner = finalists[0]
    assert winner == ranked_finalists(finalists, compressor, before[0].examples)[0]
    loss, accuracy = model.evaluate(data[1], verbose=0)
    assert accuracy == pytest.approx(winner.accuracy)
    assert np.isfinite(loss)
    # Everything that reads the tuner's results finds the winner.
    assert trial_reports(tuner, compressor)[0].trial_id == winner.trial_id
    best = tuner.get_best_hyperparameters()[0].values
    assert best == tuner.oracle.trials[winner.trial_id].hyperparameters.values

    # Nothing that ran before changes a finalist, such as the trials that an interrupted search has not repeated.
    keras.utils.set_random_seed(99)
    shutil.rmtree(tmp_path / "finalists")
    assert retrained(tuner, count=2)[0] == finalists

    # A search that is repeated resumes after the last epoch of each finalist.
    with caplog.at_level(logging.INFO, "compressor_lib.training"):
        again, same = retrained(searched(), count=2)
    assert again == finalists
    assert [record.message for record in caplog.records] == ["resuming after epoch 2"] * 2
    for weight, expected in zip(same.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)

    write_finalists(finalists, tmp_path / "finalists.json")
    assert json.loads((tmp_path / "finalists.json").read_text())[0]["connection"] == winner.connection
