"""The oracles by themselves: trials are scored by a formula, nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.first_trials import ORACLES, values_in

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


def oracle(name: str, folder: Path, first: tuple[dict[str, Any], ...] = (KNOWN,)) -> kt.Oracle:
    """A new oracle, or one that goes on where it was."""
    made = ORACLES[name](objective=kt.Objective("score", "max"), hyperparameters=space(), seed=1, **BUDGETS[name])
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
        ({"translator": "c->d"}, "translator 'c->d' is not among what is searched"),
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
        with pytest.raises(CompressorError, match="is not among"):
            values_in(hp, wrong)
