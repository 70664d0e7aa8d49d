from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from tfx import types
from tfx.types import standard_artifacts

from components.translator_pretrainer import TranslatorPretrainer
from components.translator_pretrainer.executor import Executor
from compressor_lib.cuts.families import searched_connections
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank import TranslatorBank
from compressor_lib.pretraining.options import TranslatorOptions
from compressor_lib.pretraining.translator_fit import TranslatorSums, fit_translators
from compressor_lib.support.progress import Progress, progress_in

pytestmark = pytest.mark.slow

CONNECTIONS = ["block_2_add->block_16_expand", "24,36", "block_5_add->head"]  # 24 is block_5_add, 36 is Conv_1
WITH_TRANSLATOR = ["block_2_add->block_16_expand", "block_5_add->Conv_1"]
SINGLE_PROCESS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
TWO_PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


@pytest.fixture
def fit(reference, tmp_path):
    """Runs the executor; returns the bank that it wrote."""

    def run(examples, beam=SINGLE_PROCESS, previous: str = "", **changed) -> TranslatorBank:
        node = component(connections=CONNECTIONS, options=TranslatorOptions(held_out=0.3))
        properties = {**node.exec_properties, **changed}
        translators, before = standard_artifacts.Model(), standard_artifacts.Model()
        translators.uri, before.uri = str(tmp_path / "translators"), previous
        inputs = {"examples": [examples], "base_model": [reference.model]}
        Executor(Executor.Context(beam_pipeline_args=beam)).Do(
            {**inputs, "previous_translators": [before]} if previous else inputs,
            {"translators": [translators]},
            properties,
        )
        return TranslatorBank.load(translators.uri, reference.base)

    return run


def component(**arguments) -> TranslatorPretrainer:
    return TranslatorPretrainer(
        examples=types.Channel(type=standard_artifacts.Examples),
        base_model=types.Channel(type=standard_artifacts.Model),
        backbone="MobileNetV2",
        **arguments,
    )


def in_library(reference, images, connections=CONNECTIONS) -> TranslatorBank:
    """The bank that the library fits on the same images, without Beam."""
    found = searched_connections(reference.base, "MobileNetV2", connections)
    batches = np.array_split(images, 3)
    return fit_translators(reference.base, found, batches, held_out=0.3)


def assert_same(bank: TranslatorBank, other: TranslatorBank) -> None:
    assert list(bank.translators) == list(other.translators)
    for name, translator in bank.translators.items():
        for array in ("kernel", "bias"):
            found, expected = (getattr(one, array) for one in (translator, other.translators[name]))
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())
        assert translator.r2 == pytest.approx(other.translators[name].r2, rel=1e-5)


def test_fit_matches_the_library(fit, reference, make_examples, images, caplog):
    with caplog.at_level(logging.DEBUG, "components.translator_pretrainer"):
        bank = fit(make_examples({"train": [images["train"]], "eval": [images["eval"]]}))

    told = [progress for record in caplog.records if (progress := progress_in(record))]
    assert told[-1] == Progress("image", len(images["train"]), len(images["train"]))
    assert list(bank.translators) == WITH_TRANSLATOR
    assert bank.input_shape == (32, 32, 3)
    assert_same(bank, in_library(reference, images["train"]))


def test_sharding_and_parallel_workers_change_nothing(fit, reference, make_examples, images, monkeypatch):
    parts: list[tuple[int, int]] = []
    merge = TranslatorSums.merge

    def counting(sums: TranslatorSums, other: TranslatorSums) -> TranslatorSums:
        parts.append((len(sums.fitted.gram), len(other.fitted.gram)))
        return merge(sums, other)

    monkeypatch.setattr(TranslatorSums, "merge", counting)

    bank = fit(
        make_examples({"train": np.array_split(images["train"], 5)}),
        beam=["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
        batch_size=3,
    )

    # Sums of some of the images did meet sums of others.
    assert any(all(pair) for pair in parts)
    assert_same(bank, in_library(reference, images["train"]))


@pytest.mark.parametrize(
    ("beam", "shards"),
    [
        pytest.param(SINGLE_PROCESS, 3, id="in memory, 3 files"),
        pytest.param(SINGLE_PROCESS, 24, id="in memory, a file each"),
        pytest.param(TWO_PROCESSES, 1, id="2 processes, 1 file", marks=pytest.mark.slow),
        pytest.param(TWO_PROCESSES, 5, id="2 processes, 5 files", marks=pytest.mark.slow),
    ],
)
def test_any_sharding_gives_the_same_bank_in_memory_and_in_processes(
    fit, reference, make_examples, images, beam, shards
):
    bank = fit(make_examples({"train": np.array_split(images["train"], shards)}), beam=beam, batch_size=5)
    assert_same(bank, in_library(reference, images["train"]))


def test_the_split_is_chosen(fit, reference, make_examples, images):
    examples = make_examples({split: [images[split]] for split in ("train", "eval")})

    bank = fit(examples, split="eval")

    assert_same(bank, in_library(reference, images["eval"]))


def test_previous_translators_are_reused_for_the_same_backbone(fit, reference, make_examples, images, tmp_path, caplog):
    nothing = standard_artifacts.Examples()
    nothing.uri, nothing.split_names = "/nowhere", '["train"]'
    previous = tmp_path / "previous"
    before = in_library(reference, images["eval"])
    before.save(previous)
    assert_same(fit(nothing, previous=str(previous)), before)  # no image was read

    (tmp_path / "empty").mkdir()
    examples = make_examples({"train": [images["train"]]})
    expected = in_library(reference, images["train"])
    assert_same(fit(examples, previous=str(tmp_path / "empty")), expected)
    replace(before, fingerprint="0" * 64).save(previous)
    with caplog.at_level("INFO"):
        assert_same(fit(examples, previous=str(previous)), expected)
    assert "not reused: the translator bank was fitted on the backbone" in caplog.text


def test_truncations_need_no_translator(fit, make_examples, images):
    bank = fit(make_examples({"train": [images["train"]]}), connections=json.dumps(["block_5_add->head"]))
    assert bank.translators == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"connections": '["block_5_ad->Conv_1"]'}, r"unknown layer 'block_5_ad'"),
        ({"backbone": "MobilNetV2", "connections": '"all"'}, r"unknown backbone 'MobilNetV2'"),
    ],
)
def test_unknown_names_are_rejected_before_reading_images(fit, changed, message):
    nothing = standard_artifacts.Examples()
    nothing.uri, nothing.split_names = "/nowhere", '["train"]'
    with pytest.raises(CompressorError, match=message):
        fit(nothing, **changed)


def test_missing_images_are_reported(fit, make_examples, images, tmp_path):
    with pytest.raises(Exception, match="no images to fit translators on"):
        fit(make_examples({"train": [images["train"][:0]]}))
    assert not (tmp_path / "translators" / "manifest.json").exists()


def test_parameters_are_plain_enough_for_every_orchestrator():
    parameters = TranslatorPretrainer.SPEC_CLASS.PARAMETERS
    assert {parameter.type for parameter in parameters.values()} <= {int, float, str}
    assert set(component().exec_properties) == set(parameters)


def test_the_component_hands_on_its_arguments():
    wired = component(connections=("53,151",), options=TranslatorOptions(0.2, ridge=0.5), code_version="x")
    assert wired.exec_properties == {
        "backbone": "MobileNetV2", "connections": '["53,151"]', "split": "train", "batch_size": 32,
        "options": '{"held_out": 0.2, "ridge": 0.5}', "code_version": "x",
    }  # fmt: skip
    assert wired.outputs["translators"].type is standard_artifacts.Model
