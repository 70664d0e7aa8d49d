from __future__ import annotations

import keras_tuner as kt
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.search.family_oracle import FamilyOracle, known_for
from compressor_lib.search.options import shared_out
from compressor_lib.search.oracles import ORACLES

SCORES = {"tiny": 0.0, "small": 1.0}


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("budget", ["tiny", "small"])
    with hp.conditional_scope("budget", ["tiny"]):
        hp.Choice("cut", [1, 2, 3])
    with hp.conditional_scope("budget", ["small"]):
        hp.Choice("cut (small)", [4, 5, 6])
    hp.Choice("rate", [0.1, 0.2, 0.3])
    return hp


def oracle(name: str, folder, max_trials: int = 12) -> FamilyOracle:
    objective = kt.Objective("score", "max")
    epochs = {"max_epochs": 4} if name == "hyperband" else {}

    def make(trials: int, seed: int):
        return ORACLES[name](objective=objective, max_trials=trials, seed=seed, **epochs)

    made = FamilyOracle(["tiny", "small"], make, objective=objective, max_trials=max_trials, seed=1)
    made._set_project_dir(str(folder), "search")
    made.verbose = 0
    made.update_space(space())
    return made


def run(searching: FamilyOracle, count: int | None = None) -> list[kt.engine.trial.Trial]:
    """Runs trials until the end, or a number of them. Those for a larger budget always score higher."""
    done = []
    while count is None or len(done) < count:
        trial = searching.create_trial("worker")
        if trial.status == "STOPPED":
            break
        assert trial.status == "RUNNING"
        values = trial.hyperparameters.values
        searching.update_trial(trial.trial_id, {"score": SCORES[values["budget"]] + 0.1 * values["rate"]}, step=0)
        trial.status = "COMPLETED"
        searching.end_trial(trial)
        done.append(trial)
    return done


def numbers(trials) -> dict[str, int]:
    chosen = [trial.hyperparameters.values["budget"] for trial in trials]
    return {budget: chosen.count(budget) for budget in SCORES}


@pytest.mark.parametrize("name", ORACLES)
def test_every_budget_gets_its_share_whatever_the_scores(name, tmp_path):
    searching = oracle(name, tmp_path)
    trials = run(searching)
    assert numbers(trials) == {"tiny": 6, "small": 6}
    assert searching.planned_trials == 12
    for trial in trials:
        values = trial.hyperparameters.values
        assert ("cut" in values, "cut (small)" in values) == (values["budget"] == "tiny", values["budget"] == "small")


def test_budgets_take_turns(tmp_path):
    trials = run(oracle("random", tmp_path, max_trials=5))
    assert [trial.hyperparameters.values["budget"] for trial in trials] == ["tiny", "small", "tiny", "small", "tiny"]


@pytest.mark.parametrize("name", ORACLES)
def test_a_resumed_search_proposes_what_an_uninterrupted_one_does(name, tmp_path):
    whole = [trial.hyperparameters.values for trial in run(oracle(name, tmp_path / "whole"))]
    first = oracle(name, tmp_path / "halves")
    run(first, 5)
    again = oracle(name, tmp_path / "halves")
    again.reload()
    again.verbose = 0
    run(again)
    assert [again.trials[trial_id].hyperparameters.values for trial_id in again.start_order] == whole


def test_hyperband_promotes_within_a_budget(tmp_path):
    trials = run(oracle("hyperband", tmp_path, max_trials=20))
    promoted = [trial.hyperparameters.values for trial in trials if "tuner/trial_id" in trial.hyperparameters.values]
    budgets = {trial.trial_id: trial.hyperparameters.values["budget"] for trial in trials}
    assert {values["budget"] for values in promoted} == {"tiny", "small"}
    assert all(budgets[values["tuner/trial_id"]] == values["budget"] for values in promoted)


def test_a_search_waits_for_running_trials(tmp_path):
    searching = oracle("random", tmp_path, max_trials=2)
    running = [searching.create_trial(worker) for worker in ("a", "b")]
    assert numbers(running) == {"tiny": 1, "small": 1}
    assert searching.create_trial("c").status == "STOPPED"


def test_trials_are_shared_out_equally():
    assert shared_out(60, 2) == [30, 30]
    assert shared_out(5, 3) == [2, 2, 1]
    with pytest.raises(CompressorError, match="max_trials is 1, fewer than the 2 budgets"):
        shared_out(1, 2)


def test_known_trials_are_for_their_own_budget_or_for_any_if_that_is_gone():
    budgets = ["tiny", "small"]
    assert known_for("tiny", {"budget": "tiny", "rate": 1}, budgets) == {"rate": 1}
    assert known_for("tiny", {"budget": "small", "rate": 1}, budgets) is None
    assert known_for("tiny", {"budget": "huge", "rate": 1}, budgets) == {"rate": 1}
    assert known_for("tiny", {"rate": 1}, budgets) == {"rate": 1}
