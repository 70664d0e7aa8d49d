from __future__ import annotations

import copy
import json
import logging
import random

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.networks.macs import multiply_adds
from compressor_lib.objective.costs import Budgets
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import (
    TUNERS,
    TrialReport,
    best_first,
    run_search,
    trial_reports,
    trials_within_budget,
    write_report,
)
from compressor_lib.support.atomic_write import replace_file
from compressor_lib.support.progress import progress_in

pytestmark = pytest.mark.usefixtures("eagerly")

CUTS = ["add_1->last", "stem_relu->last", "add_1->head", "stem_relu->head"]
ORACLES = {
    "hyperband": kt.oracles.HyperbandOracle,
    "bayesian": kt.oracles.BayesianOptimizationOracle,
    "random": kt.oracles.RandomSearchOracle,
    "grid": kt.oracles.GridSearchOracle,
}


@pytest.fixture(scope="module")
def data(labelled) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    make = tf.data.Dataset.from_tensor_slices
    return make(labelled(48)).batch(16), make(labelled(24, seed=1)).batch(16)


def hypermodel(base: keras.Model, **changed) -> HyperCompressor:
    arguments = {
        "connections": CUTS, "head_units": [0, 4], "loss": "sparse_categorical_crossentropy",
        "learning_rates": (0.01, 0.1),
    }  # fmt: skip
    return HyperCompressor(3000, 3, 0.6, backbone=base, **{**arguments, **changed})


@pytest.fixture(scope="module")
def searched(residual, data, tmp_path_factory) -> tuple[kt.Tuner, HyperCompressor, object]:
    """A finished search of three trials."""
    compressor, directory = hypermodel(residual), tmp_path_factory.mktemp("searched")
    options = SearchOptions("random", max_trials=3, max_epochs=2)
    return run_search(compressor, *data, options, directory), compressor, directory


def trials_of(tuner: kt.Tuner) -> dict[str, dict]:
    return {name: dict(t.hyperparameters.values) for name, t in tuner.oracle.trials.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNERS)
def test_every_tuner_searches_and_goes_on_where_it_was(residual, data, tmp_path, name):
    options = SearchOptions(name, max_trials=1, max_epochs=2)
    tuner = run_search(hypermodel(residual), *data, options, tmp_path)
    assert isinstance(tuner.oracle, ORACLES[name])
    trials = trials_of(tuner)
    assert len(trials) == 1
    again = run_search(hypermodel(residual), *data, options, tmp_path)
    assert trials_of(again) == trials


@pytest.mark.slow
def test_a_search_that_was_cut_short_goes_on(residual, data, tmp_path):
    first = run_search(hypermodel(residual), *data, SearchOptions("random", 1, 1), tmp_path)
    longer = run_search(hypermodel(residual), *data, SearchOptions("random", 2, 1), tmp_path)
    assert len(longer.oracle.trials) == 2
    assert trials_of(first).items() <= trials_of(longer).items()


@pytest.mark.slow
def test_it_goes_on_as_it_would_have_gone(residual, data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = run_search(hypermodel(residual), *data, SearchOptions("random", 3, 2), whole)
    run_search(hypermodel(residual), *data, SearchOptions("random", 2, 2), cut)
    resumed = run_search(hypermodel(residual), *data, SearchOptions("random", 3, 2), cut)
    scores = [{name: trial.score for name, trial in tuner.oracle.trials.items()} for tuner in (undisturbed, resumed)]
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_what_is_known_is_tried_first(residual, data, tmp_path, caplog):
    known = {"translator": CUTS[2], "top_fc1_units": 4, "lr": 0.05}
    gone = {**known, "translator": "add_2->head"}
    options = SearchOptions("random", 1, 1, first=[gone, known])
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        tuner = run_search(hypermodel(residual), *data, options, tmp_path)
    assert list(trials_of(tuner).values()) == [known]
    lines = [record.message for record in caplog.records]
    assert lines[0].endswith("is skipped: translator 'add_2->head' is not in the search space.")
    assert lines[1].endswith(f"begins with a known good trial: {CUTS[2]}")


@pytest.mark.slow
def test_a_promoted_trial_goes_on_from_the_weights_of_its_first(residual, data, tmp_path):
    tuner = run_search(hypermodel(residual), *data, SearchOptions("hyperband", max_epochs=3), tmp_path)
    (promoted,) = [t for t in tuner.oracle.trials.values() if "tuner/trial_id" in t.hyperparameters.values][:1]
    first = tuner.oracle.get_trial(promoted.hyperparameters.values["tuner/trial_id"])
    start = tuner.load_model(first).get_layer("classifier").get_weights()[0]
    end = tuner.load_model(promoted).get_layer("classifier").get_weights()[0]
    fresh = tuner.hypermodel.build(promoted.hyperparameters).get_layer("classifier").get_weights()[0]
    assert np.abs(end - start).max() < np.abs(end - fresh).max()


@pytest.mark.slow
def test_classes_count_in_a_trial_s_loss_by_their_weights(residual, data, tmp_path):
    options = SearchOptions("random", 1, 1)
    plain = run_search(hypermodel(residual), *data, options, tmp_path / "plain")
    doubled = run_search(hypermodel(residual), *data, options, tmp_path / "doubled", class_weights=[2.0, 2.0, 2.0])
    (one,), (other,) = (list(tuner.oracle.trials.values()) for tuner in (plain, doubled))
    assert one.hyperparameters.values == other.hyperparameters.values
    assert loss_of(other) > 1.5 * loss_of(one)


def loss_of(trial: kt.engine.trial.Trial) -> float:
    return trial.metrics.get_history("loss")[0].value[0]


@pytest.mark.slow
def test_a_model_that_is_loaded_is_its_own(searched, residual):
    tuner, _, _ = searched
    before = [weights.copy() for weights in residual.get_weights()]
    one, other = tuner.get_best_models(2)
    for model in (one, other):
        for layer in model.layers:
            layer.trainable = True
        model.set_weights([weights + 1 for weights in model.get_weights()])
    for mine, theirs in zip(residual.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert all(layer.trainable for layer in residual.layers)


@pytest.mark.slow
@pytest.mark.survives("a trial's checkpoint is broken")
def test_a_trial_whose_checkpoint_is_broken_is_run_again(residual, data, tmp_path, caplog):
    options = SearchOptions("random", 1, 1)
    tuner = run_search(hypermodel(residual), *data, options, tmp_path)
    (path,) = tmp_path.glob("search/*/trained.npz")
    whole, weights = path.read_bytes(), tuner.get_best_models()[0].get_weights()
    dice = random.Random(0)
    changed = bytearray(whole)
    changed[dice.randrange(len(whole))] ^= 1
    for damaged in (b"", whole[: dice.randrange(len(whole))], bytes(changed), None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        again = run_search(hypermodel(residual), *data, options, tmp_path)
        for mine, theirs in zip(again.get_best_models()[0].get_weights(), weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert path.read_bytes() == whole
        assert "is damaged or missing: repeating the trial" in caplog.records[-1].message


@pytest.mark.slow
def test_the_seed_decides_what_is_tried(residual, data, tmp_path):
    def tried(seed: int, place: str) -> list[dict]:
        options = SearchOptions("random", 1, 1, seed)
        return list(trials_of(run_search(hypermodel(residual), *data, options, tmp_path / place)).values())

    assert tried(1, "a") == tried(1, "b")
    assert tried(1, "a") != tried(2, "c")


def test_a_report_for_every_trial_best_first(searched):
    tuner, compressor, _ = searched
    reports = trial_reports(tuner, compressor)
    assert {report.trial_id for report in reports} == set(tuner.oracle.trials)
    scores = [report.score for report in reports]
    assert scores == sorted(scores, reverse=True)
    assert reports[0].trial_id == tuner.oracle.get_best_trials(1)[0].trial_id


def test_what_a_report_says_is_so(searched, data):
    tuner, compressor, _ = searched
    x, y = next(iter(data[1].unbatch().batch(24)))
    reports = trial_reports(tuner, compressor)
    for report in reports:
        trial = tuner.oracle.trials[report.trial_id]
        model = tuner.load_model(trial)
        assert report.parameters == report.cost == model.count_params()
        assert report.within_budget
        assert report.compression == pytest.approx(1 - model.count_params() / 3000)
        assert report.connection == trial.hyperparameters["translator"]
        assert report.hyperparameters == trial.hyperparameters.values
        assert report.score == pytest.approx(0.6 * report.accuracy + 0.4 * report.compression, abs=1e-5)
        # The checkpoint is of the epoch that the report tells of.
        assert np.mean(model(x).numpy().argmax(1) == y) == pytest.approx(report.accuracy, abs=0.05)
        assert 0 < report.seconds < 600
    assert len({report.parameters for report in reports}) > 1


def test_the_report_is_written_as_json(searched, tmp_path):
    tuner, compressor, _ = searched
    reports = trial_reports(tuner, compressor)
    write_report(reports, tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert [entry["trial_id"] for entry in written] == [report.trial_id for report in reports]
    assert set(written[0]) == {
        "trial_id",
        "backbone",
        "input_size",
        "connection",
        "parameters",
        "cost",
        "compression",
        "within_budget",
        "accuracy",
        "score",
        "examples",
        "seconds",
        "hyperparameters",
    }
    assert written[0]["hyperparameters"] == reports[0].hyperparameters


def test_the_reports_outlive_the_process(searched, residual, data):
    tuner, compressor, directory = searched
    options = SearchOptions("random", max_trials=3, max_epochs=2)
    again = run_search(hypermodel(residual), *data, options, directory)
    now, then = trial_reports(again, hypermodel(residual)), trial_reports(tuner, compressor)
    assert {report.trial_id: report for report in now} == {report.trial_id: report for report in then}


def under_budget(searched, budgets: dict[str, float]) -> tuple[kt.Tuner, HyperCompressor]:
    """The searched trials as if there had been budgets, but without the lower scores."""
    tuner, compressor, _ = searched
    judged = copy.copy(compressor)
    judged.budgets = Budgets(budgets)
    again = copy.copy(tuner)
    again.hypermodel = judged
    return again, judged


def test_the_best_is_the_best_within_budget(searched):
    parameters = [report.parameters for report in trial_reports(*searched[:2])]
    limit = min(parameters)
    assert parameters[0] > limit, "the best trial must be one that the budget excludes"
    tuner, compressor = under_budget(searched, {"parameters": limit})
    reports = trial_reports(tuner, compressor)
    within = [report for report in reports if report.within_budget]
    assert [report.parameters for report in within] == [limit] * len(within)
    assert reports[: len(within)] == within
    assert [trial.trial_id for trial in trials_within_budget(tuner, compressor)] == [r.trial_id for r in within]
    assert tuner.get_best_hyperparameters()[0].values == within[0].hyperparameters
    assert [model.count_params() for model in tuner.get_best_models(1)] == [limit]


def test_what_cannot_be_told_apart_is_ordered_by_size_where_accuracy_alone_counts(residual):
    def report(name: str, accuracy: float, parameters: int, examples: int = 400) -> TrialReport:
        within = parameters <= 2000
        return TrialReport(
            name, "residual", 16, name, parameters, parameters, 0.5, within, accuracy, accuracy, examples, 1.0, {}
        )

    def order(tau: float, budgets: dict[str, float] | None, examples: int = 400) -> str:
        compressor = HyperCompressor(3000, 3, tau, backbone=residual, connections=["add_1->last"], budgets=budgets)
        # The standard error of 0.8 on 400 images is 0.02.
        trials = [("a", 0.80, 1000), ("b", 0.79, 2000), ("c", 0.785, 1500), ("d", 0.77, 1900), ("e", 0.9, 2500)]
        return "".join(one.trial_id for one in best_first([report(*trial, examples) for trial in trials], compressor))

    budget = {"parameters": 2000.0}
    assert order(1.0, budget) == "bcade"
    assert order(0.9, budget) == order(1.0, budget, examples=0) == "abcde"
    assert order(1.0, None) == "abcde"


def test_without_a_network_within_budget_the_nearest_is_told(searched):
    smallest = min(trial_reports(*searched[:2]), key=lambda report: report.parameters)
    tuner, _ = under_budget(searched, {"parameters": 99})
    message = (
        f"closest one, {smallest.connection}, has {smallest.parameters:,} parameters \\(budget: 99\\); raise the budget"
    )
    with pytest.raises(CompressorError, match=message):
        tuner.get_best_models(1)


@pytest.mark.slow
def test_a_search_for_another_cost_and_within_budgets(residual, data, tmp_path):
    budgets = {"parameters": 10**6, "latency": 10**6}
    compressor = hypermodel(residual, cost="macs", max_cost=10**6, budgets=budgets)
    tuner = run_search(compressor, *data, SearchOptions("random", 1, 1), tmp_path)
    (report,) = trial_reports(tuner, compressor)
    model = tuner.get_best_models(1)[0]
    assert report.cost == multiply_adds(model)
    assert report.compression == 1 - report.cost / 10**6
    assert report.parameters == model.count_params()
    assert report.within_budget


@pytest.mark.slow
def test_the_search_says_what_it_finds(residual, data, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        tuner = run_search(hypermodel(residual), *data, SearchOptions("random", 2, 1), tmp_path)
    lines = [record.message for record in caplog.records]
    best = tuner.oracle.get_best_trials(1)[0]
    assert [line.split(":")[0] for line in lines] == ["trial 1/2", "trial 2/2"]
    told = progress_in(caplog.records[-1])
    assert (told.unit, told.step, told.total) == ("trial", 2, 2)
    assert told.best.connection == best.hyperparameters["translator"]
    assert told.best.score == best.score
    assert told.best.parameters == tuner.get_best_models(1)[0].count_params()
    assert lines[1].endswith(f"best so far {told.best}")


@pytest.mark.slow
@pytest.mark.parametrize(("max_epochs", "max_trials", "expected"), [(1, 60, 1), (5, 60, 10), (5, 4, 4)])
def test_hyperbands_trials_are_counted_beforehand(residual, data, tmp_path, caplog, max_epochs, max_trials, expected):
    options = SearchOptions("hyperband", max_trials, max_epochs)
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        tuner = run_search(hypermodel(residual), *data, options, tmp_path)
    assert {progress_in(record).total for record in caplog.records} == {len(tuner.oracle.trials)} == {expected}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "grid"])
def test_a_search_space_with_fewer_points_than_max_trials_ends_with_the_right_count(
    residual, data, tmp_path, caplog, name
):
    # Two widths of the head are all there is to choose.
    compressor = hypermodel(residual, connections=CUTS[2:3], learning_rates=(0.05, 0.05))
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        tuner = run_search(compressor, *data, SearchOptions(name, 9, 1), tmp_path)
    told = [progress_in(record) for record in caplog.records]
    assert len(tuner.oracle.trials) == 2
    assert [(one.step, one.total) for one in told] == [(1, 9), (2, 9), (2, 2)]


@pytest.mark.slow
@pytest.mark.survives("a trial fails at random or for lack of memory")
@pytest.mark.parametrize(
    "failure",
    [
        kt.errors.FailedTrialError("out of luck"),
        MemoryError("out of luck"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating, out of luck"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_trial_that_fails_is_told_and_the_search_goes_on(residual, data, tmp_path, caplog, failure):
    class Shaky(HyperCompressor):
        fits = 0

        def fit(self, *args, **kwargs):
            self.fits += 1
            if self.fits == 1:
                raise failure
            return super().fit(*args, **kwargs)

    compressor = hypermodel(residual)
    compressor.__class__ = Shaky
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        tuner = run_search(compressor, *data, SearchOptions("random", 2, 1), tmp_path)
    assert "trial 1/2: failed" in caplog.records[0].message
    assert "out of luck" in caplog.records[0].message
    assert len(tuner.oracle.trials) == 2
    assert len(trial_reports(tuner, compressor)) == 1


@pytest.mark.slow
@pytest.mark.survives("a disk is full during a trial")
@pytest.mark.parametrize("disk", ["of the features", "of the checkpoints"])
def test_a_full_disk_ends_the_search_and_fails_no_trial(residual, data, tmp_path, monkeypatch, disk):
    options = SearchOptions("random", 2, 1)
    undisturbed = run_search(hypermodel(residual), *data, options, tmp_path / "undisturbed")
    with monkeypatch.context() as full:
        if disk == "of the features":
            full.setattr(ArrayStore, "new_file", lambda store: open("/dev/full", "r+b"))  # noqa: SIM115
        else:
            full.setattr(
                "compressor_lib.support.atomic_write.replace_file", lambda *_: replace_file("/dev/full/none", b"")
            )
        with pytest.raises(CompressorError, match=r"the search stopped in trial 0: .*(No space|Not a directory)"):
            run_search(hypermodel(residual, feature_memory=0), *data, options, tmp_path / "disturbed")
    resumed = run_search(hypermodel(residual, feature_memory=0), *data, options, tmp_path / "disturbed")
    scores = [{name: trial.score for name, trial in tuner.oracle.trials.items()} for tuner in (undisturbed, resumed)]
    assert scores[0] == scores[1]


@pytest.mark.survives("all trials fail")
def test_a_search_in_which_every_trial_failed_is_told(residual, data, tmp_path):
    class Failing(HyperCompressor):
        def fit(self, *args, **kwargs):
            raise kt.errors.FailedTrialError("out of luck")

    compressor = hypermodel(residual)
    compressor.__class__ = Failing
    tuner = run_search(compressor, *data, SearchOptions("random", 1, 1), tmp_path)
    with pytest.raises(CompressorError, match="no trial was completed; the last one failed with FailedTrialError: out"):
        tuner.get_best_models(1)
    with pytest.raises(CompressorError, match=r"10 trials failed in a row, the last one with .*out of luck; try"):
        run_search(compressor, *data, SearchOptions("random", 12, 1), tmp_path)


def test_before_the_first_trial_there_is_no_best_one(residual, tmp_path):
    tuner = TUNERS["random"](hypermodel(residual), SearchOptions("random", 1, 1), tmp_path)
    for best in (tuner.get_best_models, tuner.get_best_hyperparameters):
        with pytest.raises(
            CompressorError, match="no trial has finished, so there is no best trial yet: run the search"
        ):
            best()


@pytest.mark.slow
@pytest.mark.survives("a trial's loss is not a number")
def test_a_trial_whose_loss_is_no_number_has_failed(residual, data, tmp_path):
    class Diverging(HyperCompressor):
        def fit(self, hp, model, *args, **kwargs):
            weights = model.get_layer("classifier")
            weights.set_weights([np.full_like(values, np.nan) for values in weights.get_weights()])
            return super().fit(hp, model, *args, **kwargs)

    compressor = hypermodel(residual)
    compressor.__class__ = Diverging
    tuner = run_search(compressor, *data, SearchOptions("random", 1, 3), tmp_path)
    (trial,) = tuner.oracle.trials.values()
    assert trial.status == "FAILED"
    assert "the loss is nan at epoch 1" in trial.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tuner": "hyperbrand"}, "unknown tuner 'hyperbrand'. Did you mean 'hyperband'"),
        ({"max_trials": 0}, "max_trials is 0: it must be more than 0"),
        ({"max_epochs": -1}, "max_epochs is -1: it must be more than 0"),
    ],
)
def test_options_that_cannot_be_are_refused(changed, message):
    with pytest.raises(CompressorError, match=message):
        SearchOptions(**changed)
