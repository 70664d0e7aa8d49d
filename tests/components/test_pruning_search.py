from __future__ import annotations

import json
from pathlib import Path

import keras
import keras_tuner as kt
import numpy as np
import pytest
from tfx import types
from tfx.types import standard_artifacts

from components.pruning_search import PruningSearch
from components.pruning_search.executor import REPORT_FILE, Executor, _key
from compressor_lib import search
from compressor_lib.connections import parse_connection
from compressor_lib.errors import CompressorError
from compressor_lib.export import TEACHER_FILE, load_keras
from compressor_lib.families import searched_connections
from compressor_lib.flops import multiply_adds
from compressor_lib.heads import attach_head
from compressor_lib.pretraining import fit_translators
from compressor_lib.surgery import create_submodel, without_head

CONNECTIONS = ["block_2_add->block_16_expand", "53,151", "block_5_add->head"]
TRIALS = 3


def component(**arguments) -> PruningSearch:
    return PruningSearch(
        examples=types.Channel(type=standard_artifacts.Examples),
        base_model=types.Channel(type=standard_artifacts.Model),
        translators=types.Channel(type=standard_artifacts.Model),
        backbone="MobileNetV2",
        **arguments,
    )


def artifact(kind: type[types.Artifact], uri: Path) -> types.Artifact:
    made = kind()
    made.uri = str(uri)
    return made


def save_bank(base: keras.Model, folder: Path) -> types.Artifact:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    connections = searched_connections(base, "MobileNetV2", CONNECTIONS)
    fit_translators(base, connections, [pictures], held_out=0.2).save(folder)
    return artifact(standard_artifacts.Model, folder)


@pytest.fixture(scope="module")
def bank(reference, tmp_path_factory) -> types.Artifact:
    return save_bank(reference.base, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def examples(make_examples, pictures) -> types.Artifact:
    return make_examples({split: [pictures[split]] for split in ("train", "eval")})


def do(folder: Path, examples, reference, bank, **changed) -> dict[str, Path]:
    """Runs the executor; returns where the outputs are."""
    arguments = {
        "connections": CONNECTIONS, "tuner": "random", "max_trials": TRIALS, "max_epochs": 2,
        "tau": 0.6, "dropout": 0.1,
    }  # fmt: skip
    outputs = {
        "model": artifact(standard_artifacts.Model, folder / "model" / "1"),
        "best_hyperparameters": artifact(standard_artifacts.HyperParameters, folder / "best_hyperparameters" / "1"),
        "tuner_results": artifact(standard_artifacts.TunerResults, folder / "tuner_results" / "1"),
    }
    for output in outputs.values():
        Path(output.uri).mkdir(parents=True)
    Executor(Executor.Context(tmp_dir=str(folder / "tmp"))).Do(
        {"examples": [examples], "base_model": [reference.model], "translators": [bank]},
        {key: [output] for key, output in outputs.items()},
        component(**{**arguments, **changed}).exec_properties,
    )
    return {key: Path(output.uri) for key, output in outputs.items()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory, examples, reference, bank) -> dict[str, Path]:
    return do(tmp_path_factory.mktemp("search"), examples, reference, bank, head_units=[0, 8])


@pytest.fixture(scope="module")
def report(searched) -> list[dict]:
    return json.loads((searched["tuner_results"] / REPORT_FILE).read_text())


def test_the_report_has_a_row_for_every_trial_the_best_first(report, reference):
    assert len(report) == TRIALS
    scores = [row["score"] for row in report]
    assert scores == sorted(scores, reverse=True)
    total = reference.classifier.count_params()
    for row in report:
        assert row["cost"] == row["parameters"]
        assert row["compression"] == pytest.approx(1 - row["parameters"] / total)
        assert row["within_budget"]
        assert 0 < row["compression"] < 1
        assert row["score"] == pytest.approx(0.6 * row["accuracy"] + 0.4 * row["compression"])
        assert row["seconds"] > 0
        # "53,151" is reported by the layers' names.
        assert row["connection"] in [str(parse_connection(text, reference.base)) for text in CONNECTIONS]
        assert row["hyperparameters"]["top_fc1_units"] in (0, 8)


def test_hyperparameters_and_results_are_as_the_stock_tuner_writes_them(searched, report):
    stored = json.loads((searched["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    best = kt.HyperParameters.from_config(stored)
    assert best.values == report[0]["hyperparameters"]

    rows = json.loads((searched["tuner_results"] / "tuner_results.json").read_text())
    assert rows == [{"trial_id": row["trial_id"], "score": row["score"], **row["hyperparameters"]} for row in report]


def test_the_model_is_the_best_trials_on_the_references_weights(searched, report, reference):
    model = load_keras(searched["model"] / "Format-Serving")

    assert model.count_params() == report[0]["parameters"]
    assert model.output_shape == (None, 3)
    submodel = create_submodel(reference.base, report[0]["connection"])
    for layer in submodel.layers:
        if layer.name.startswith("translator_"):
            continue
        for found, expected in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_teacher_is_the_reference(searched, reference, pictures):
    teacher = load_keras(searched["model"] / "Format-Serving", TEACHER_FILE)
    inputs = pictures["eval"].astype(np.float32)
    np.testing.assert_array_equal(teacher.predict(inputs, verbose=0), reference.classifier.predict(inputs, verbose=0))


def test_nothing_is_left_beside_the_outputs(searched):
    files = {path.name for path in searched["tuner_results"].parents[1].rglob("*") if path.is_file()}
    assert files == {
        "model.keras", TEACHER_FILE, "best_hyperparameters.txt", "tuner_results.json", REPORT_FILE,
    }  # fmt: skip


def test_a_search_that_was_cut_short_goes_on(tmp_path, examples, reference, bank, monkeypatch):
    ended: list[str] = []
    on_trial_end = search._Announcing.on_trial_end

    def stopped_in_the_third(tuner, trial):
        if len(ended) == 2 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        on_trial_end(tuner, trial)
        ended.append(trial.trial_id)

    monkeypatch.setattr(search._Announcing, "on_trial_end", stopped_in_the_third)
    arguments = (tmp_path, examples, reference, bank)
    # Truncations make the quickest trials.
    how = {"tuner": "hyperband", "max_epochs": 3}
    how["connections"] = ["block_2_add->head", "block_5_add->head"]
    with pytest.raises(KeyboardInterrupt):
        do(*arguments, **how)
    for folder in ("model", "best_hyperparameters", "tuner_results"):
        (tmp_path / folder / "1").rmdir()  # as TFX does; nothing is in them yet

    outputs = do(*arguments, **how)

    report = json.loads((outputs["tuner_results"] / REPORT_FILE).read_text())
    assert len(report) > 3
    # No trial was done twice, none was left out.
    assert sorted(row["trial_id"] for row in report) == sorted(ended)


def test_the_winner_is_within_budget_and_weighed_by_the_cost_wanted(tmp_path, examples, reference, bank):
    # Of these, one alone keeps the budget, and on noise the larger one may well score better.
    connections = ["block_2_add->tail"]
    (small, _), (large, _) = (
        (attach_head(create_submodel(reference.base, connections[0], tail_units=units), 3).count_params(), units)
        for units in (4, 64)
    )
    budget = (small + large) // 2
    how = {"connections": connections, "tail_units": [64, 4], "max_trials": 4, "max_epochs": 1}
    outputs = do(tmp_path, examples, reference, bank, **how, cost="flops", budgets={"parameters": budget})
    report = json.loads((outputs["tuner_results"] / REPORT_FILE).read_text())
    assert {row["parameters"]: row["within_budget"] for row in report} == {small: True, large: False}
    assert report[0]["parameters"] == small
    total = multiply_adds(reference.classifier)
    assert [row["compression"] for row in report] == [pytest.approx(1 - row["cost"] / total) for row in report]
    assert min(row["cost"] for row in report) == report[0]["cost"] < total / 2
    model = load_keras(outputs["model"] / "Format-Serving")
    assert model.count_params() == small
    stored = json.loads((outputs["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    assert kt.HyperParameters.from_config(stored).values == report[0]["hyperparameters"]


def test_a_budget_that_nothing_keeps_is_told_before_the_search(tmp_path, examples, reference, bank):
    with pytest.raises(CompressorError, match="no connection keeps the budgets: the nearest, block_2_add->block_16"):
        do(tmp_path, examples, reference, bank, connections=CONNECTIONS[:1], budgets={"parameters": 1000})
    assert not (tmp_path / ".trials").exists()


def test_trials_on_other_translators_are_not_taken_over(reference):
    properties = component().exec_properties
    keys = {_key(properties, reference.base, "examples", bank) for bank in ("bank", "other bank")}
    assert len(keys) == 2


def test_translators_of_another_backbone_are_refused(tmp_path, examples, reference, make_classifier):
    other = save_bank(without_head(make_classifier(seed=1), name="MobileNetV2"), tmp_path / "other")
    with pytest.raises(CompressorError, match="fitted on another backbone"):
        do(tmp_path, examples, reference, other)


def test_a_connection_without_translator_is_told(tmp_path, examples, reference, bank):
    with pytest.raises(CompressorError, match="no translator for block_1_project_BN->Conv_1"):
        do(tmp_path, examples, reference, bank, connections=["block_1_project_BN->Conv_1"])


def test_an_empty_bank_folder_is_told(tmp_path, examples, reference):
    nothing = artifact(standard_artifacts.Model, tmp_path / "nothing")
    with pytest.raises(CompressorError, match="holds no complete translator bank"):
        do(tmp_path, examples, reference, nothing)


def test_parameters_are_plain_enough_for_every_orchestrator():
    parameters = PruningSearch.SPEC_CLASS.PARAMETERS
    assert {parameter.type for parameter in parameters.values()} <= {int, float, str}
    assert set(component().exec_properties) == set(parameters)


def test_the_component_hands_on_its_arguments():
    wired = component(
        connections=("53,151",), tuner="grid", max_trials=4, max_epochs=5, tau=0.5,
        cost="latency", budgets={"parameters": 500_000, "latency": 8.5},
        head_units=(0, 8), tail_units=(64,), min_learning_rate=0.01, max_learning_rate=0.1, dropout=0.3, batch_size=7,
        seed=2, code_version="x",
    )  # fmt: skip
    assert wired.exec_properties == {
        "backbone": "MobileNetV2", "connections": '["53,151"]', "tuner": "grid", "max_trials": 4,
        "max_epochs": 5, "tau": 0.5, "cost": "latency",
        "budgets": '{"latency": 8.5, "parameters": 500000}', "head_units": "[0, 8]", "tail_units": "[64]",
        "min_learning_rate": 0.01, "max_learning_rate": 0.1, "dropout": 0.3, "batch_size": 7,
        "seed": 2, "code_version": "x",
    }  # fmt: skip
    assert {key: output.type for key, output in wired.outputs.items()} == {
        "model": standard_artifacts.Model,
        "best_hyperparameters": standard_artifacts.HyperParameters,
        "tuner_results": standard_artifacts.TunerResults,
    }
