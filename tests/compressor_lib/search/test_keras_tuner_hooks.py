"""A release of keras-tuner that moves a name fails here, before a search goes wrong in hours."""

from __future__ import annotations

import inspect

import keras_tuner as kt
import pytest
from hooks import check_hooks
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief

from compressor_lib.search import keras_tuner_hooks

OBJECTIVE = kt.Objective("score", direction="max")
ORACLE = ("_get_oracle_fname", "_get_trial_dir", "_retry_queue", "_save_trial", "ongoing_trials", "tuner_ids")


@pytest.mark.parametrize(
    ("oracle", "names"),
    [
        (kt.oracles.RandomSearchOracle, ()),
        (kt.oracles.BayesianOptimizationOracle, ("_random_state",)),
        (
            kt.oracles.HyperbandOracle,
            ("_get_num_brackets", "_get_num_rounds", "_get_size", "_random_trial", "_random_values"),
        ),
        (kt.oracles.GridSearchOracle, ("_ordered_ids", "_populate_next")),
    ],
)
def test_keras_tuners_oracles_have_what_ours_take_of_them(oracle, names):
    made = oracle(objective=OBJECTIVE)
    check_hooks("keras-tuner", keras_tuner_hooks, made, *ORACLE, *names)
    if "_ordered_ids" in names:
        check_hooks("keras-tuner", keras_tuner_hooks, made._ordered_ids, "_memory", "insert", "next")


def test_keras_tuner_has_what_the_tuner_and_the_chief_take_of_it():
    check_hooks("keras-tuner", keras_tuner_hooks, kt.Tuner, "_is_worker", "_run_and_update_trial")
    check_hooks("keras-tuner", keras_tuner_hooks, oracle_chief, "OracleServicer", "exit_chief")
    check_hooks("keras-tuner", keras_tuner_hooks, oracle_chief.OracleServicer, "CreateTrial", "EndTrial", "UpdateTrial")
    check_hooks("keras-tuner", keras_tuner_hooks, protos.get_service_grpc(), "add_OracleServicer_to_server")
    called_by = inspect.getsource(kt.Tuner._try_run_and_update_trial)
    assert "self._run_and_update_trial(" in called_by, "keras-tuner runs trials in another way: adapt HookedTuner"


def test_a_name_that_is_gone_is_told_with_the_release_and_the_adapter():
    with pytest.raises(AssertionError, match=r"keras-tuner \d.* has no _gone in Tuner: adapt .*_hooks, which .* 1\.4"):
        check_hooks("keras-tuner", keras_tuner_hooks, kt.Tuner, "_gone")
