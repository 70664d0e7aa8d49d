"""Searches without models, whose process dies before each single write."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras_tuner as kt
import pytest

from compressor_lib.search import durable
from compressor_lib.search.oracles import ORACLES

BUDGETS = {"hyperband": {"max_epochs": 3}, "bayesian": {"max_trials": 4}, "random": {"max_trials": 4}, "grid": {}}


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def die_before(monkeypatch):
    """Makes the write of a number the last thing that does not happen; returns how many there were."""

    def arm(number: int | None) -> itertools.count:
        writes, write = itertools.count(), whole_write

        def write_or_die(path, content):
            if next(writes) == number:
                raise Killed
            write(path, content)

        monkeypatch.setattr(durable, "replace_file", write_or_die)
        return writes

    whole_write = durable.replace_file
    return arm


def search(name: str, folder: Path) -> tuple[list[str], dict[str, tuple]]:
    """Searches from where it was; gives the trials that were run, in order, and what is known of all."""
    space = kt.HyperParameters()
    space.Choice("cut", ["a", "b", "c"])
    space.Choice("units", [0, 8])
    oracle = ORACLES[name](
        objective=kt.Objective("score", "max"), seed=1, hyperparameters=space, **BUDGETS[name]
    )  # fmt: skip
    oracle._set_project_dir(folder, "search")
    oracle.verbose = 0
    if (folder / "search" / "oracle.json").exists():
        oracle.reload()
    ran = []
    try:
        while (trial := oracle.create_trial("tuner0")).status != "STOPPED":
            values = trial.hyperparameters.values
            oracle.update_trial(trial.trial_id, {"score": "abc".index(values["cut"]) + values["units"] / 100})
            trial.status = "COMPLETED"
            ran.append(trial.trial_id)
            oracle.end_trial(trial)
    except Killed:
        return ran, {}
    return ran, {key: (one.score, one.hyperparameters.values) for key, one in oracle.trials.items()}


@pytest.mark.survives("a search is interrupted before each write of its files")
@pytest.mark.slow
@pytest.mark.parametrize("name", ORACLES)
def test_a_search_killed_at_any_write_comes_to_the_same(name, tmp_path, die_before):
    writes = die_before(None)
    ran, undisturbed = search(name, tmp_path / "undisturbed")
    assert ran == list(undisturbed)
    for number in range(next(writes)):
        folder = tmp_path / str(number)
        die_before(number)
        before, _ = search(name, folder)
        die_before(None)
        after, resumed = search(name, folder)
        assert resumed == undisturbed
        assert list(resumed) == list(undisturbed)
        # At most the trial whose end had not been written is run again.
        assert before[:-1] + after == ran or before + after == ran


@pytest.mark.survives("a search is interrupted between a trial and its oracle")
def test_a_trial_that_has_ended_is_not_run_again_where_the_oracle_did_not_hear_of_it(tmp_path, die_before):
    die_before(4)  # before it: the trial and the oracle when it starts, the trial when it is scored and when it ends
    before, _ = search("random", tmp_path)
    assert before == ["0"]
    die_before(None)
    after, _ = search("random", tmp_path)
    assert after == ["1", "2", "3"]
