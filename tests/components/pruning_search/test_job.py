from __future__ import annotations

import dataclasses
import logging
from urllib.error import URLError

import numpy as np
import pytest
from tfx.utils import path_utils

from components.options import parsed
from components.pruning_search.job import SearchJob
from compressor_lib.cuts.families import searched_connections
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank import fingerprint
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search.backbones import HyperBackbones
from compressor_lib.search.family import HyperFamily
from compressor_lib.search.options import PruningSearchOptions

LISTED = ["block_5_add->head", "24,36"]  # 24 is block_5_add, 36 is Conv_1
NARROW = {"name": "MobileNetV2", "alpha": 0.5, "weights": "none"}
SMALL = {"name": "MobileNet", "alpha": 0.25, "weights": "none"}


@pytest.fixture(scope="module")
def job(reference, make_examples, images, tmp_path_factory):
    """Describes a search with some options."""
    examples = make_examples({split: [images[split]] for split in ("train", "eval")})
    bank = tmp_path_factory.mktemp("bank")
    batch = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    connections = searched_connections(reference.base, "MobileNetV2", LISTED)
    fit_translators(reference.base, connections, [batch], held_out=0.2).save(bank)

    def make(**options) -> SearchJob:
        return SearchJob(
            reference_dir=path_utils.serving_model_path(reference.model.uri), bank_dir=str(bank),
            train=f"{examples.uri}/Split-train/*", validation=f"{examples.uri}/Split-eval/*",
            backbone="MobileNetV2", label="mine", dropout=0.0, batch_size=32, class_weights="none", seed=0,
            options=parsed(PruningSearchOptions, {"connections": LISTED, **options}),
        )  # fmt: skip

    return make


def cuts(space: HyperBackbones) -> dict[tuple[str, int], list[str]]:
    return {network: [str(one) for one in member.hypermodel.connections] for network, member in space.members.items()}


def weights(space: HyperBackbones) -> dict[tuple[str, int], str]:
    return {network: fingerprint(member.hypermodel.base) for network, member in space.members.items()}


def test_by_default_only_the_reference_is_searched_at_its_size(job, reference):
    space = job().hypermodel()
    assert cuts(space) == {("mine", 32): ["block_5_add->head", "block_5_add->Conv_1"]}
    assert weights(space)["mine", 32] == fingerprint(reference.base)
    assert space.members["mine", 32].hypermodel.translators is not None


@pytest.mark.slow
def test_every_backbone_is_searched_at_every_size_the_references_first(job, reference, caplog):
    with caplog.at_level(logging.INFO, "components.pruning_search.job"):
        space = job(input_sizes=[48, 32], backbones=[NARROW]).hypermodel()
    assert list(space.members) == [("mine", 32), ("mine", 48), ("MobileNetV2 0.5", 32), ("MobileNetV2 0.5", 48)]
    assert "4 networks run over the images once each, which takes as long as " in caplog.text
    # The reference's weights at any size; a list applies by the names of layers, not by their indices.
    assert weights(space)["mine", 48] == fingerprint(reference.base)
    assert cuts(space)["MobileNetV2 0.5", 48] == ["block_5_add->head", "block_5_add->Conv_1"]
    for (_, size), member in space.members.items():
        assert next(iter(member.train))[0].shape[1:] == (size, size, 3)
        assert member.hypermodel.max_cost == reference.classifier.count_params()
    fitted = {network for network, member in space.members.items() if member.hypermodel.translators is not None}
    assert fitted == {("mine", 32)}


def test_a_list_of_which_a_backbone_has_nothing_is_refused(job):
    with pytest.raises(CompressorError, match="none of the listed connections is possible in MobileNet:"):
        job(backbones=[SMALL]).hypermodel()


@pytest.mark.slow
def test_workers_rebuild_the_networks_that_the_chief_chose(job):
    given = job(backbones=[SMALL, NARROW], connections="truncation", budgets={"parameters": 30_000})
    chosen = given.hypermodel()
    narrowed = given.narrowed(chosen)
    again = narrowed.hypermodel()
    assert cuts(again) == cuts(chosen)
    assert weights(again) == weights(chosen)


@pytest.mark.slow
def test_workers_rebuild_a_family_as_the_chief_narrowed_it(job):
    budgets = {"tiny": {"parameters": 30_000}, "wide": {"macs": 10**9}}
    given = job(backbones=[SMALL, NARROW], connections="truncation", budgets=budgets, shortlist=8)
    chosen = given.hypermodel()
    assert isinstance(chosen, HyperFamily)
    whole = {budget: cuts(space) for budget, space in chosen.members.items()}
    tried = {budget: sum(map(len, networks.values())) for budget, networks in whole.items()}
    assert 0 < tried["tiny"] < tried["wide"]
    narrowed = given.narrowed(chosen)
    again = narrowed.hypermodel()
    assert {budget: cuts(space) for budget, space in again.members.items()} == {
        budget: cuts(space) for budget, space in chosen.members.items()
    }


def test_a_budget_that_no_network_meets_is_named_before_the_search(job):
    with pytest.raises(CompressorError, match=r"^budget 'tiny': no connection meets the budgets"):
        job(budgets={"tiny": {"parameters": 10}, "wide": {"macs": 10**9}}).hypermodel()


class TestWeightsThatCannotBeDownloaded:
    @pytest.fixture(autouse=True)
    def offline(self, tmp_path, monkeypatch):
        from keras.src.utils import file_utils

        def unreachable(url, *_):
            raise URLError("Name or service not known")

        monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
        monkeypatch.setattr(file_utils, "urlretrieve", unreachable)

    @pytest.mark.slow
    def test_they_are_reported_and_their_backbone_is_left_out(self, job, caplog):
        space = job(backbones=[{"name": "MobileNetV2"}]).hypermodel()
        assert list(space.members) == [("mine", 32)]
        assert "MobileNetV2, 32 px is left out of the search: the ImageNet weights of MobileNetV2" in caplog.text

    @pytest.mark.slow
    def test_a_worker_that_needs_them_stops(self, job):
        given = job(backbones=[NARROW])
        narrowed = given.narrowed(given.hypermodel())
        there = parsed(PruningSearchOptions, {"backbones": [{"name": "MobileNetV2", "alpha": 0.5}]})
        with pytest.raises(CompressorError, match="could not be downloaded"):
            dataclasses.replace(narrowed, options=there).hypermodel()
