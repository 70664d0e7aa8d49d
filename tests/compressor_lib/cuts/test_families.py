from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from compressor_lib.cuts import families
from compressor_lib.cuts.connections import Connection
from compressor_lib.cuts.families import (
    LEAST_SAVING,
    MOST,
    graph_truncations,
    published_connections,
    rejoining_connections,
    searched_connections,
    truncations,
)
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.errors import CompressorError
from compressor_lib.networks.backbones import BACKBONES
from compressor_lib.pretraining.translator_fit import fit_translators

pytestmark = pytest.mark.slow

NETWORKS = ["ResNet50V2", pytest.param("DenseNet121", marks=pytest.mark.long), "EfficientNetB0"]


@pytest.fixture(scope="module")
def v2() -> keras.Model:
    return BACKBONES["MobileNetV2"].build(input_size=32, weights=None)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request) -> keras.Model:
    """An architecture without a grid here, and small images."""
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, request.param)
    return build(include_top=False, weights=None, input_shape=(64, 64, 3))


def test_a_grid_leaves_out_pairs_that_delete_nothing(residual):
    grid = published_connections(residual, r"expand|last", ["expand", "last"])
    # add_1 feeds `expand` and add_2 feeds `last`: those pairs delete nothing.
    assert grid == [Connection.rejoin("add_1", "last")]


def test_truncations_are_at_every_a_and_in_front_of_every_b(residual):
    grid = [Connection.rejoin("add_1", "last"), Connection.rejoin("stem_relu", "expand")]
    assert truncations(residual, grid) == [
        Connection.head("stem_relu"),
        Connection.head("add_1"),
        Connection.head("add_2"),
    ]


def test_all_holds_the_published_pairs_truncations_and_tails(v2):
    published = searched_connections(v2, "MobileNetV2", "published")
    cut_after = {connection.a for connection in published}
    cuts = searched_connections(v2, "MobileNetV2", "truncation")
    assert len(published) == 31
    assert all(connection.is_truncation for connection in cuts)
    assert cut_after < {connection.a for connection in cuts}
    assert {connection.a for connection in cuts} - cut_after == {
        "block_16_project_BN"  # in front of Conv_1
    }
    tails = searched_connections(v2, "MobileNetV2", "tail")
    assert tails == [Connection.tail(cut.a) for cut in cuts]
    assert all(tail.is_tail and not tail.rejoins and not tail.is_truncation for tail in tails)
    assert searched_connections(v2, "MobileNetV2", "all") == [*published, *cuts, *tails]


def test_a_connection_listed_twice_is_kept_once(v2):
    wanted = ["53,151", "block_5_add->Conv_1", "block_5_add->head"]
    assert list(map(str, searched_connections(v2, "MobileNetV2", wanted))) == [
        "block_5_add->Conv_1",
        "block_5_add->head",
    ]


@pytest.mark.parametrize(
    ("backbone", "wanted", "message"),
    [
        ("MobileNetV2", "publishd", "Did you mean 'published'?"),
        ("MobileNetV2", [], "the list of connections is empty"),
        ("MobileNetV2", ["53,151", "x->y"], "unknown layer 'x'"),
        ("MobilNetV2", "all", "unknown backbone 'MobilNetV2'. Did you mean 'MobileNetV2'?"),
        (None, "published", "a model of your own has no published connections; choose 'all'"),
    ],
)
def test_an_invalid_choice_of_connections_is_refused_with_the_reason(v2, backbone, wanted, message):
    with pytest.raises(CompressorError, match=re.escape(message)):
        searched_connections(v2, backbone, wanted)


def saving(base: keras.Model, connection: Connection) -> float:
    return 1 - create_submodel(base, connection).count_params() / base.count_params()


def test_a_small_networks_cuts_are_paired_with_every_place_to_rejoin(residual, monkeypatch):
    monkeypatch.setattr(families, "LEAST_SAVING", 1e-9)
    assert list(map(str, rejoining_connections(residual))) == [
        "stem_relu->expand",
        "stem_relu->project",
        "stem_relu->conv_2",
        "stem_relu->last",
        "add_1->project",
        "add_1->conv_2",
        "add_1->last",
        # expand_relu->project and depthwise->conv_2 need a translator as large as what they delete.
        "expand_relu->conv_2",
        "expand_relu->last",
        "depthwise->last",
        "project->last",
    ]
    assert [cut.a for cut in graph_truncations(residual)] == [
        "stem_relu", "add_1", "expand_relu", "depthwise", "project", "add_2",
    ]  # fmt: skip


def test_a_cut_that_saves_too_little_is_not_proposed(residual):
    by_hand = {
        connection
        for connection in (Connection.rejoin("stem_relu", b) for b in ("expand", "project", "conv_2", "last"))
        if saving(residual, connection) >= LEAST_SAVING
    }
    assert {c for c in rejoining_connections(residual) if c.a == "stem_relu"} == by_hand
    assert Connection.head("last_relu") not in graph_truncations(residual)


def test_connections_are_proposed_without_a_published_grid(residual):
    rejoining, cuts = rejoining_connections(residual), graph_truncations(residual)
    tails = [Connection.tail(cut.a) for cut in cuts]
    assert searched_connections(residual, None, "rejoining") == rejoining
    assert searched_connections(residual, "", "truncation") == cuts
    assert searched_connections(residual, None, "tail") == tails
    assert searched_connections(residual, None, "all") == [*rejoining, *cuts, *tails]


def test_a_network_of_the_catalogue_can_be_rejoined_anywhere_too(v2):
    rejoining = searched_connections(v2, "MobileNetV2", "rejoining")
    assert len(rejoining) == MOST
    assert len({connection.b for connection in rejoining}) > 2


def test_a_network_without_connections_is_refused():
    images = keras.Input((8, 8, 3))
    base = keras.Model(images, keras.layers.Conv2D(4, 3, name="only")(images), name="tiny")
    with pytest.raises(CompressorError, match="graph of 'tiny' has no connection of the family 'all'"):
        searched_connections(base, None, "all")


def test_deep_networks_are_sampled_from_the_least_saving_to_the_largest(network, monkeypatch):
    sample, cuts = rejoining_connections(network), graph_truncations(network)
    monkeypatch.setattr(families, "MOST", 10**6)
    every, every_cut = rejoining_connections(network), graph_truncations(network)
    assert len(every) > MOST == len(sample)
    assert len(cuts) == min(MOST, len(every_cut))
    assert set(sample) < set(every)
    by_size = sorted(saving(network, connection) for connection in (sample[0], sample[-1]))
    assert by_size[0] >= LEAST_SAVING - 1e-9
    assert (cuts[0], cuts[-1]) == (every_cut[0], every_cut[-1])


def test_proposed_connections_can_be_cut_and_rejoined(network, pixels):
    proposed = searched_connections(network, None, "all")
    few = [proposed[i] for i in (0, MOST // 2, MOST - 1, MOST, -1)]
    x = pixels(1, 64)
    for connection in few:
        submodel = create_submodel(network, connection)
        assert np.isfinite(submodel(x)).all()
        assert submodel.count_params() < network.count_params()
        for layer in submodel.layers:
            if layer.weights and not layer.name.startswith("translator_"):
                for kept, own in zip(layer.get_weights(), network.get_layer(layer.name).get_weights(), strict=True):
                    np.testing.assert_array_equal(kept, own)


def test_translators_of_a_network_without_a_grid_are_fitted(network, pixels):
    connections = rejoining_connections(network)[:: MOST // 3]
    bank = fit_translators(network, connections, [pixels(12, 64, seed) for seed in range(2)], held_out=0.2)
    assert set(bank.translators) == set(map(str, connections))
    for connection in connections:
        bank.apply(create_submodel(network, connection), connection)
    assert all(np.isfinite(translator.kernel).all() for translator in bank.translators.values())
    assert max(translator.r2 for translator in bank.translators.values()) > 0
