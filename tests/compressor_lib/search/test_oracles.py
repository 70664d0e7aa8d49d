"""The oracles by themselves: trials are scored by a formula, nothing is trained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.search.oracles import ORACLES, bounded_sizes, values_in

pytestmark = pytest.mark.slow

KNOWN = {"translator": "b->tail", "tail_units": 256, "lr": 0.0123}
BUDGETS = {
    "hyperband": {"max_epochs": 9},
    "bayesian": {"max_trials": 11},
    "random": {"max_trials": 8},
    "grid": {"max_trials": 9},
}


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("translator", ["a->b", "b->head", "b->tail"])
    with hp.conditional_scope("translator", ["b->tail"]):
        hp.Choice("tail_units", [128, 256])
    hp.Float("lr", 0.01, 0.1, sampling="log")
    return hp


def oracle(name: str, folder: Path, first: tuple[dict[str, Any], ...] = (KNOWN,), **budget: int) -> kt.Oracle:
    """A new oracle, or one that goes on where it was."""
    budget = {**BUDGETS[name], **budget}
    made = ORACLES[name](objective=kt.Objective("score", "max"), hyperparameters=space(), seed=1, **budget)
    made._set_project_dir(str(folder), "search")
    made.verbose = 0
    if (folder / "search" / "oracle.json").exists():
        made.reload()
    else:
        made.first = first
    return made


def run(oracle: kt.Oracle, most: int = 100) -> list[dict[str, Any]]:
    """Runs trials one by one to the end, or at most so many; tells the values of all that there are."""
    for _ in range(most):
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        values = trial.hyperparameters.values
        score = values["lr"] + len(values["translator"]) + values.get("tail_units", 0) / 1000
        oracle.update_trial(trial.trial_id, {"score": score})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without what Hyperband keeps there."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


@pytest.mark.parametrize("name", ORACLES)
class TestEach:
    def test_the_known_trial_is_the_first(self, name, tmp_path):
        trials = run(oracle(name, tmp_path / "known"))
        assert plain(trials[0]) == KNOWN
        others = [plain(values) for values in run(oracle(name, tmp_path / "unknown", first=()))]
        assert KNOWN not in others
        # It takes the place of one trial, and the others are as they were.
        assert len(trials) == len(others)
        if name in ("grid", "random"):
            assert [plain(values) for values in trials[1:]] == others[:-1]

    def test_what_was_cut_short_goes_on_as_it_would_have_gone(self, name, tmp_path):
        whole = run(oracle(name, tmp_path / "whole"))
        for count in (1, 2, len(whole) - 1):
            folder = tmp_path / f"cut-{count}"
            run(oracle(name, folder), most=count)
            assert run(oracle(name, folder)) == whole

    def test_a_trial_that_was_cut_short_is_run_again(self, name, tmp_path):
        whole = run(oracle(name, tmp_path / "whole"))
        for place in (0, 2):
            folder = tmp_path / f"cut-{place}"
            run(oracle(name, folder), most=place)
            oracle(name, folder).create_trial("tuner0")
            assert run(oracle(name, folder)) == whole


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("most", [1, 5, 7])
def test_max_trials_bounds_every_tuner(name, most, tmp_path):
    made = oracle(name, tmp_path, max_trials=most)
    assert made.planned_trials == most
    assert len(run(made)) == most


class TestHyperbandWithinMaxTrials:
    @pytest.mark.parametrize(
        ("most", "expected"),
        [
            (200, {(2, 0): 9, (2, 1): 3, (2, 2): 1, (1, 0): 5, (1, 1): 2, (0, 0): 3}),
            (12, {(2, 0): 4, (2, 1): 2, (2, 2): 1, (1, 0): 2, (1, 1): 1, (0, 0): 2}),
            (6, {(2, 0): 1, (2, 1): 1, (2, 2): 1, (1, 0): 1, (1, 1): 1, (0, 0): 1}),
            (4, {(1, 0): 2, (1, 1): 1, (0, 0): 1}),
            (2, {(0, 0): 2}),
        ],
    )
    def test_every_bracket_is_halved_down_to_trials_of_all_epochs(self, most, expected, tmp_path):
        trials = run(oracle("hyperband", tmp_path, max_trials=most))
        rounds = Counter((values["tuner/bracket"], values["tuner/round"]) for values in trials)
        assert rounds == expected
        for bracket in {bracket for bracket, _ in rounds}:
            assert max(v["tuner/epochs"] for v in trials if v["tuner/bracket"] == bracket) == 9

    def test_what_was_cut_short_goes_on_as_it_would_have_gone(self, tmp_path):
        whole = run(oracle("hyperband", tmp_path / "whole", max_trials=12))
        for count in (1, 5, 8, 11):
            run(oracle("hyperband", tmp_path / str(count), max_trials=12), most=count)
            assert run(oracle("hyperband", tmp_path / str(count), max_trials=12)) == whole

    def test_several_workers_keep_to_it(self, tmp_path):
        made = oracle("hyperband", tmp_path, max_trials=12)
        running: list[Any] = []
        while True:
            started = [made.create_trial(f"tuner{worker}") for worker in range(3)]
            running = [trial for trial in started if trial.status == "RUNNING"]
            if not running:
                break
            for trial in running:
                made.update_trial(trial.trial_id, {"score": trial.hyperparameters.values["lr"]})
                trial.status = "COMPLETED"
                made.end_trial(trial)
        assert len(made.trials) == 12

    @pytest.mark.parametrize("most", range(1, 91))
    def test_rounds_never_grow(self, most, tmp_path):
        sizes = oracle("hyperband", tmp_path, max_epochs=30, max_trials=most)._sizes
        assert sum(sizes.values()) == most
        for (bracket, turn), size in sizes.items():
            assert 1 <= size <= sizes.get((bracket, turn - 1), size)

    def test_the_default_search_tries_60_and_all_would_be_90(self, tmp_path):
        assert oracle("hyperband", tmp_path / "a", max_epochs=30, max_trials=60).planned_trials == 60
        assert oracle("hyperband", tmp_path / "b", max_epochs=30).planned_trials == 90


def test_bounded_sizes_are_in_proportion():
    full = {(1, 0): 60, (1, 1): 20, (0, 0): 40}
    assert bounded_sizes(full, 60) == {(1, 0): 30, (1, 1): 10, (0, 0): 20}
    assert bounded_sizes(full, 120) == bounded_sizes(full, 121) == full


def test_two_known_trials_are_tried_in_their_order(tmp_path):
    other = {"translator": "a->b", "lr": 0.05}
    for name in ORACLES:
        trials = run(oracle(name, tmp_path / name, first=(KNOWN, other)), most=2)
        assert [plain(values) for values in trials] == [KNOWN, other]


def test_each_of_hyperbands_brackets_begins_with_the_known_trial(tmp_path):
    trials = run(oracle("hyperband", tmp_path))
    known = [values for values in trials if plain(values) == KNOWN and values["tuner/round"] == 0]
    assert [values["tuner/bracket"] for values in known] == [2, 1, 0]
    assert known[-1]["tuner/epochs"] == 9
    for values in known:
        bracket = [other for other in trials if other["tuner/bracket"] == values["tuner/bracket"]]
        assert bracket[0] == values


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({**KNOWN, "tuner/epochs": 3, "momentum": 0.9}, KNOWN),
        ({"translator": "b->head", "tail_units": 256, "lr": 0.05}, {"translator": "b->head", "lr": 0.05}),
        ({"translator": "b->tail"}, {"translator": "b->tail", "tail_units": 128, "lr": 0.01}),
    ],
)
def test_what_the_space_has_is_taken(known, expected):
    assert values_in(space(), known) == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"translator": "c->d"}, "translator 'c->d' is not in the search space"),
        ({"tail_units": 64}, "tail_units 64 is not"),
        ({"lr": 0.2}, "lr 0.2 is not"),
        ({"lr": "0.05"}, "lr '0.05' is not"),
    ],
)
def test_what_the_space_does_not_have_is_refused(changed, message):
    with pytest.raises(CompressorError, match=message):
        values_in(space(), {**KNOWN, **changed})


def test_integers_may_be_stepped_or_not():
    hp = kt.HyperParameters()
    hp.Int("stepped", 10, 50, step=20)
    hp.Fixed("fixed", "a->b")
    assert values_in(hp, {"stepped": 50, "fixed": "a->b"}) == {"stepped": 50, "fixed": "a->b"}
    for wrong in ({"stepped": 20}, {"fixed": "b->c"}):
        with pytest.raises(CompressorError, match="is not in the search space"):
            values_in(hp, wrong)
