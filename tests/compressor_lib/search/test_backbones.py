from __future__ import annotations

import logging

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

from compressor_lib.errors import CompressorError
from compressor_lib.features.array_store import ArrayStore
from compressor_lib.networks.resizing import resized
from compressor_lib.search.backbones import HyperBackbones, passes
from compressor_lib.search.hypermodels import HyperCompressor
from compressor_lib.search.options import SearchOptions
from compressor_lib.search.run import TUNERS, run_search, trial_reports

pytestmark = pytest.mark.usefixtures("eagerly")

CUTS = ["add_1->last", "add_1->head", "add_1->tail"]
PLAIN = ("residual", 16)
SMALL = ("residual", 12)
OTHER = ("other", 12)
LARGE = ("other", 16)


class Data:
    """Two splits at one size, which counts how often they are read."""

    def __init__(self, labelled, size: int) -> None:
        self.read = 0
        self.train, self.validation = (
            self._dataset(*labelled(count, size, seed)) for count, seed in ((48, 0), (24, 1))
        )

    def _dataset(self, x: np.ndarray, y: np.ndarray) -> tf.data.Dataset:
        def batches():
            self.read += 1
            for start in range(0, len(x), 12):
                yield x[start : start + 12], y[start : start + 12]

        signature = (tf.TensorSpec((None, *x.shape[1:])), tf.TensorSpec((None,), tf.int64))
        return tf.data.Dataset.from_generator(batches, output_signature=signature).apply(
            tf.data.experimental.assert_cardinality(len(x) // 12)
        )


@pytest.fixture
def data(labelled) -> dict[int, Data]:
    return {size: Data(labelled, size) for size in (12, 16)}


@pytest.fixture(scope="module")
def other() -> keras.Model:
    images = keras.Input((12, 12, 3), name="images")
    x = images
    for place, channels in enumerate((4, 5, 6, 20)):
        x = keras.layers.Conv2D(channels, 3, strides=1 + place % 2, padding="same", name=f"conv_{place}")(x)
        x = keras.layers.ReLU(name=f"relu_{place}")(x)
    return keras.Model(images, x, name="other")


@pytest.fixture
def networks(residual, other) -> dict[tuple[str, int], keras.Model]:
    return {PLAIN: residual, SMALL: resized(residual, 12), OTHER: other, LARGE: resized(other, 16)}


def hypermodel(networks, data, *chosen, **changed) -> HyperBackbones:
    arguments = {
        "head_units": [0, 4], "tail_units": [4, 8], "loss": "sparse_categorical_crossentropy",
        "learning_rates": (0.01, 0.1), "tau": 0.6, **changed,
    }  # fmt: skip
    cuts = {PLAIN: CUTS, SMALL: CUTS, OTHER: "truncation", LARGE: "truncation"}
    members = {}
    for network in chosen or networks:
        compressor = HyperCompressor(3000, 3, backbone=networks[network], connections=cuts[network], **arguments)
        members[network] = (compressor, data[network[1]].train, data[network[1]].validation)
    return HyperBackbones(members)


def names(compressor: HyperBackbones) -> dict[str, list[str]]:
    """The declared hyperparameters, with the names of their conditions."""
    hp = kt.HyperParameters()
    compressor.declare_hyperparameters(hp)
    return {each.name: [condition.name for condition in each.conditions] for each in hp.space}


def test_the_space_of_one_network_is_as_without_others(networks, data):
    assert names(hypermodel(networks, data, PLAIN)) == {"translator": [], "tail_units": ["translator"]}


def test_only_what_can_be_chosen_is_a_hyperparameter(networks, data):
    small = "translator (residual, 12 px)"
    assert names(hypermodel(networks, data, PLAIN, SMALL)) == {
        "input_size": [],
        "translator": ["input_size"], "tail_units": ["input_size", "translator"],
        small: ["input_size"], "tail_units (residual, 12 px)": ["input_size", small],
    }  # fmt: skip
    assert names(hypermodel(networks, data, PLAIN, OTHER)) == {
        "backbone": [],
        "translator": ["backbone"], "tail_units": ["backbone", "translator"],
        "translator (other, 12 px)": ["backbone"],
    }  # fmt: skip
    space = names(hypermodel(networks, data))
    assert space["input_size"] == space["input_size (other)"] == ["backbone"]
    assert space[small] == ["backbone", "input_size"]
    assert space["translator (other, 12 px)"] == ["backbone", "input_size (other)"]


def test_keras_tuner_learns_the_space_in_two_builds(networks, data, tmp_path, monkeypatch):
    compressor, built = hypermodel(networks, data), []
    create = HyperCompressor.create_backbone
    monkeypatch.setattr(HyperCompressor, "create_backbone", lambda self, hp: built.append(1) or create(self, hp))
    kt.RandomSearch(compressor, kt.Objective("val_acc_comp", "max"), directory=tmp_path)
    assert len(built) == 2  # a cut without a tail, and one with a tail


@pytest.mark.slow
@pytest.mark.parametrize("name", TUNERS)
def test_every_tuner_searches_every_network(networks, data, tmp_path, name):
    compressor = hypermodel(networks, data, feature_memory=ArrayStore(2**20))
    known = {
        "backbone": "residual", "input_size": 12, "translator (residual, 12 px)": "add_1->tail",
        "tail_units (residual, 12 px)": 8, "top_fc1_units": 4, "lr": 0.05,
    }  # fmt: skip
    gone = {**known, "backbone": "third"}
    options = SearchOptions(name, max_trials=8, max_epochs=3, first=[gone, known])
    reference = data[16]
    tuner = run_search(compressor, reference.train, reference.validation, options, tmp_path)
    first = tuner.oracle.trials[tuner.oracle.start_order[0]].hyperparameters.values
    assert {key: value for key, value in first.items() if not key.startswith("tuner/")} == known
    reports = trial_reports(tuner, compressor)
    tried = {(report.backbone, report.input_size) for report in reports}
    assert len(tried) > 1
    for report in reports:
        assert report.hyperparameters["translator"] == report.connection
        assert report.hyperparameters["backbone"] == report.backbone
        assert report.connection.startswith("relu" if report.backbone == "other" else "add_1->")
    # Each network runs once over each split of its size, and translators are fitted in the same pass.
    assert data[16].read == 2 * len(tried & {PLAIN, LARGE})
    assert data[12].read == 2 * len(tried & {SMALL, OTHER})
    best = tuner.get_best_models(1)[0]
    assert best.input_shape[1] == reports[0].input_size
    again = run_search(hypermodel(networks, data), reference.train, reference.validation, options, tmp_path)
    assert trial_reports(again, compressor) == reports


@pytest.mark.slow
def test_progress_names_the_network_where_there_is_a_choice(networks, data, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "compressor_lib.search.run"):
        run_search(
            hypermodel(networks, data, SMALL, OTHER), data[12].train, data[12].validation,
            SearchOptions("random", 1, 1), tmp_path,
        )  # fmt: skip
    assert any(" of residual scores " in line or " of other scores " in line for line in caplog.messages)


class TestBudgets:
    def test_a_network_without_affordable_connections_is_left_out(self, networks, data, caplog):
        with caplog.at_level(logging.INFO, "compressor_lib.search.backbones"):
            compressor = hypermodel(networks, data, budgets={"macs": 25_000})
            assert set(compressor.members) == {SMALL, OTHER}
        assert caplog.messages[0].startswith("residual, 16 px is left out of the search: no connection meets the")
        assert names(compressor)["translator"] == ["backbone"]
        assert "input_size" not in names(compressor)
        assert data[12].read == data[16].read == 0

    def test_none_left_is_refused_with_the_closest(self, networks, data):
        with pytest.raises(CompressorError, match=r"no connection meets the budgets: the closest one, .*->head"):
            _ = hypermodel(networks, data, budgets={"parameters": 10}).members

    def test_networks_must_be_ranked_alike(self, networks, data):
        one, two = (hypermodel(networks, data, network, tau=tau) for network, tau in ((PLAIN, 0.6), (SMALL, 0.8)))
        with pytest.raises(CompressorError, match="differ in num_classes, tau"):
            HyperBackbones({**one.members, **two.members})

    def test_nothing_to_search_is_refused(self):
        with pytest.raises(CompressorError, match="no backbone to search"):
            HyperBackbones({})


def test_passes_are_counted_in_those_of_the_reference(networks, data, residual):
    assert passes(hypermodel(networks, data, PLAIN).members.values(), residual) == 1
    assert passes(hypermodel(networks, data, PLAIN, SMALL).members.values(), residual) == pytest.approx(
        1 + (12 / 16) ** 2
    )


def test_every_network_keeps_its_share_of_the_shortlist(networks, data):
    compressor = hypermodel(networks, data)
    counts = [len(member.hypermodel.connections) for member in compressor.members.values()]
    compressor.narrow_to(3)
    kept = [len(member.hypermodel.connections) for member in compressor.members.values()]
    assert kept == [3, 3, 1, 1]  # at least one of each family
    assert counts[2] > 1
    assert data[16].read == 4
    assert data[12].read == 4
    compressor.release_features()
