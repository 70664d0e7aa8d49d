from __future__ import annotations

import keras_tuner as kt
import pytest
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.features.cached_training import CachedTraining
from compressor_lib.search.backbones import HyperBackbones
from compressor_lib.search.family import HyperFamily
from compressor_lib.search.hypermodels import HyperCompressor, OverBudgetError
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import TUNERS, run_search, trial_reports, trials_within_budget

pytestmark = pytest.mark.usefixtures("eagerly")

CUTS = ["add_1->last", "add_1->head", "add_1->tail"]
NETWORK = ("residual", 16)
TINY, SMALL = {"parameters": 600}, {"macs": 10**7}


@pytest.fixture
def data(labelled) -> list[tf.data.Dataset]:
    return [tf.data.Dataset.from_tensor_slices(labelled(*how)).batch(12) for how in ((48, 16, 0), (24, 16, 1))]


def family(residual, data, budgets=None, **changed) -> HyperFamily:
    members, first = {}, None
    for name, limits in (budgets or {"tiny": TINY, "small": SMALL}).items():
        hypermodel = HyperCompressor(
            3000, 3, backbone=residual, connections=CUTS, head_units=[0, 4], tail_units=[4, 8], tau=1.0,
            loss="sparse_categorical_crossentropy", learning_rates=(0.01, 0.1), budgets=limits, shares_with=first,
            **changed,
        )  # fmt: skip
        first = first or hypermodel
        members[name] = HyperBackbones({NETWORK: (hypermodel, *data)})
    return HyperFamily(members)


def least(residual, data) -> float:
    """The parameters of the smallest network."""
    (member,) = family(residual, data, {"any": {}}).members["any"].members.values()
    return min(member.hypermodel._narrowest(cut)["parameters"] for cut in member.hypermodel.connections)


def test_each_budget_has_its_own_connections(residual, data):
    limit = least(residual, data)
    space = family(residual, data, {"tiny": {"parameters": limit}, "small": SMALL})
    hp = kt.HyperParameters()
    space.declare_hyperparameters(hp)
    declared = {one.name: one for one in hp.space}
    assert declared["budget"].values == ["tiny", "small"]
    assert len(declared["translator"].values) < len(declared["translator (small)"].values) == len(CUTS)
    assert {one.name: [each.name for each in one.conditions] for one in hp.space if "small" in one.name} == {
        "translator (small)": ["budget"], "tail_units (small)": ["budget", "translator (small)"],
    }  # fmt: skip


def test_a_budget_that_no_network_meets_is_named(residual, data):
    space = family(residual, data, {"tiny": {"parameters": 1}, "small": SMALL})
    with pytest.raises(OverBudgetError, match=r"^budget 'tiny': no connection meets the budgets: the closest one"):
        space.check_affordable()


def test_objectives_must_be_equal(residual, data):
    other = HyperCompressor(3000, 3, backbone=residual, connections=CUTS, tau=0.5)
    member = HyperBackbones({NETWORK: (other, *data)})
    with pytest.raises(CompressorError, match="differ in num_classes, tau"):
        HyperFamily({**family(residual, data).members, "other": member})
    with pytest.raises(CompressorError, match="no budgets"):
        HyperFamily({})


@pytest.mark.slow
def test_the_backbone_runs_once_for_all_budgets(residual, data, tmp_path, monkeypatch):
    made = []
    create = CachedTraining.__init__
    monkeypatch.setattr(CachedTraining, "__init__", lambda *args, **kwargs: made.append(1) or create(*args, **kwargs))
    space = family(residual, data)
    space.narrow_to(6)
    run_search(space, *data, SearchOptions("random", max_trials=4, max_epochs=1), tmp_path)
    assert len(made) == 1


@pytest.mark.slow
def test_a_trial_counts_for_every_budget_that_it_meets(residual, data, tmp_path):
    limit = least(residual, data) + 40
    space = family(residual, data, {"tiny": {"parameters": limit}, "small": SMALL})
    tuner = run_search(space, *data, SearchOptions("random", max_trials=10, max_epochs=2), tmp_path)
    by_budget = {name: trial_reports(tuner, space.within(name)) for name in space.members}
    for reports in by_budget.values():
        assert {report.trial_id for report in reports} == set(tuner.oracle.trials)
    assert [report.within_budget for report in by_budget["small"]] == [True] * 10
    tiny = {report.trial_id: report for report in by_budget["tiny"]}
    assert {report.within_budget for report in tiny.values()} == {True, False}
    for report in tiny.values():
        assert report.within_budget == (report.parameters <= limit)
        # A network over this budget has lost 1, whether its trial was for this budget or not.
        assert report.score == pytest.approx(report.accuracy - (not report.within_budget), abs=1e-6)
    for report in by_budget["small"]:
        assert report.score == pytest.approx(report.accuracy, abs=1e-6)
    best = trials_within_budget(tuner, space.within("tiny"))[0]
    assert best.trial_id == by_budget["tiny"][0].trial_id
    assert tuner.load_model(best).count_params() <= limit


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNERS)
def test_every_tuner_tries_networks_for_every_budget(residual, data, tmp_path, name):
    space = family(residual, data)
    tail = {"translator (small)": "add_1->tail", "tail_units (small)": 8}
    known = [
        {"budget": "small", **tail, "top_fc1_units": 4, "lr": 0.05},
        {"translator": "add_1->head", "top_fc1_units": 0, "lr": 0.02},
    ]  # fmt: skip
    options = SearchOptions(name, max_trials=8, max_epochs=2, first=known)
    tuner = run_search(space, *data, options, tmp_path)
    values = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert {one["budget"] for one in values} == {"tiny", "small"}
    assert {"budget": "small", **tail}.items() <= values[1].items()
    # One that is for no budget is tried for each.
    assert values[0]["translator"] == values[3]["translator (small)"] == "add_1->head"
