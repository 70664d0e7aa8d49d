from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import keras_tuner as kt
import numpy as np
import pytest
from keras_tuner.src import protos
from tfx import types
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.artifacts.device_latencies import read_device_latencies
from components.artifacts.file_names import FINALISTS_FILE, SEARCH_REPORT_FILE
from components.options import parsed
from components.pruning_search import PruningSearch, parallel
from components.pruning_search.executor import Executor, _key
from components.pruning_search.job import SearchJob, Shortlisted
from components.storage.gcs_mount import MOUNT
from compressor_lib.cuts.families import searched_connections
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel, without_head
from compressor_lib.deployment.export import TEACHER_FILE, load_keras
from compressor_lib.deployment.operators import operators
from compressor_lib.errors import CompressorError
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.macs import multiply_adds
from compressor_lib.objective import costs
from compressor_lib.pretraining.translator_fit import fit_translators
from compressor_lib.search import run
from compressor_lib.search.backbones import HyperBackbones
from compressor_lib.search.device_operators import files_to_measure
from compressor_lib.search.options import BackboneOptions, BudgetOptions, ObjectiveOptions, PruningSearchOptions
from compressor_lib.search.place import without_places
from compressor_lib.support.atomic_write import replace_file
from compressor_lib.support.processes import module_command

pytestmark = pytest.mark.slow

CONNECTIONS = ["block_2_add->block_16_expand", "24,36", "block_5_add->head"]  # 24 is block_5_add, 36 is Conv_1
TRIALS = 3


class Nothing(kt.HyperModel):
    """A search space without networks."""

    def build(self, hp):
        hp.Float("x", 0, 1)


def component(*, dropout: float = 0.0, **options) -> PruningSearch:
    return PruningSearch(
        examples=types.Channel(type=standard_artifacts.Examples),
        base_model=types.Channel(type=standard_artifacts.Model),
        translators=types.Channel(type=standard_artifacts.Model),
        backbone="MobileNetV2",
        label="MobileNetV2 0.35",
        options=parsed(PruningSearchOptions, options),
        dropout=dropout,
    )


def search_job(reference, **described) -> SearchJob:
    return SearchJob(
        reference_dir=path_utils.serving_model_path(reference.model.uri), backbone="MobileNetV2",
        label="MobileNetV2 0.35", dropout=0.0,
        batch_size=32, class_weights="none", seed=0, **described,
    )  # fmt: skip


def connections_of(hypermodel: HyperBackbones) -> dict[tuple[str, int], list[str]]:
    return {
        network: [str(connection) for connection in member.hypermodel.connections]
        for network, member in hypermodel.members.items()
    }


def artifact(kind: type[types.Artifact], uri: Path) -> types.Artifact:
    made = kind()
    made.uri = str(uri)
    return made


def save_bank(base: keras.Model, folder: Path) -> types.Artifact:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    connections = searched_connections(base, "MobileNetV2", CONNECTIONS)
    fit_translators(base, connections, [images], held_out=0.2).save(folder)
    return artifact(standard_artifacts.Model, folder)


@pytest.fixture(scope="module")
def bank(reference, tmp_path_factory) -> types.Artifact:
    return save_bank(reference.base, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def examples(make_examples, images) -> types.Artifact:
    return make_examples({split: [images[split]] for split in ("train", "eval")})


def do(folder: Path, examples, reference, bank, *, known: dict | None = None, **changed) -> dict[str, Path]:
    """Runs the executor, after a search in which these hyperparameters were the best; returns where the outputs are."""
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
    inputs = {"examples": [examples], "base_model": [reference.model], "translators": [bank]}
    if known is not None:
        previous = artifact(standard_artifacts.HyperParameters, folder / "previous")
        Path(previous.uri).mkdir(exist_ok=True)
        Path(previous.uri, "best_hyperparameters.txt").write_text(json.dumps({"space": [], "values": known}))
        inputs["previous_hyperparameters"] = [previous]
    Executor(Executor.Context(tmp_dir=str(folder / "tmp"))).Do(
        inputs,
        {key: [output] for key, output in outputs.items()},
        component(**{**arguments, **changed}).exec_properties,
    )
    return {key: Path(output.uri) for key, output in outputs.items()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory, examples, reference, bank) -> dict[str, Path]:
    return do(tmp_path_factory.mktemp("search"), examples, reference, bank, head_units=[0, 8])


@pytest.fixture(scope="module")
def report(searched) -> list[dict]:
    return json.loads((searched["tuner_results"] / SEARCH_REPORT_FILE).read_text())


def test_the_report_lists_every_trial_with_the_best_first(report, reference):
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
        # "24,36" is reported by the layers' names.
        assert row["connection"] in [str(find_connection(text, reference.base)) for text in CONNECTIONS]
        assert row["hyperparameters"]["top_fc1_units"] in (0, 8)


def test_hyperparameters_and_results_are_as_the_stock_tuner_writes_them(searched, report):
    stored = json.loads((searched["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    best = kt.HyperParameters.from_config(stored)
    assert best.values == report[0]["hyperparameters"]

    rows = json.loads((searched["tuner_results"] / "tuner_results.json").read_text())
    assert rows == [{"trial_id": row["trial_id"], "score": row["score"], **row["hyperparameters"]} for row in report]


def test_the_model_has_the_best_trials_connection_and_the_references_weights(searched, report, reference):
    model = load_keras(searched["model"] / "Format-Serving")

    assert model.count_params() == report[0]["parameters"]
    assert model.output_shape == (None, 3)
    submodel = create_submodel(reference.base, report[0]["connection"])
    for layer in submodel.layers:
        if layer.name.startswith("translator_"):
            continue
        for found, expected in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_artifacts_may_be_in_mounted_cloud_storage(tmp_path, examples, reference, bank, monkeypatch):
    monkeypatch.setenv(MOUNT, str(tmp_path))
    bucket = tmp_path / "bucket"
    bucket.mkdir()

    def there(given: types.Artifact, name: str) -> list[types.Artifact]:
        (bucket / name).symlink_to(given.uri)
        moved = type(given)()
        moved.copy_from(given)
        moved.uri = f"gs://bucket/{name}"
        return [moved]

    outputs = {
        "model": [artifact(standard_artifacts.Model, Path("model"))],
        "best_hyperparameters": [artifact(standard_artifacts.HyperParameters, Path("best_hyperparameters"))],
        "tuner_results": [artifact(standard_artifacts.TunerResults, Path("tuner_results"))],
    }
    for name, (output,) in outputs.items():
        output.uri = f"gs://bucket/run/{name}/1"
        (bucket / "run" / name / "1").mkdir(parents=True)
    inputs = {
        "examples": there(examples, "examples"),
        "base_model": there(reference.model, "reference"),
        "translators": there(bank, "bank"),
    }
    properties = component(connections=["block_5_add->head"], tuner="random", max_trials=1, max_epochs=1)
    Executor(Executor.Context()).Do(inputs, outputs, properties.exec_properties)
    assert len(json.loads((bucket / "run" / "tuner_results" / "1" / SEARCH_REPORT_FILE).read_text())) == 1
    assert load_keras(bucket / "run" / "model" / "1" / "Format-Serving").output_shape == (None, 3)
    assert outputs["model"][0].uri == "gs://bucket/run/model/1"


def test_the_teacher_is_the_reference(searched, reference, images):
    teacher = load_keras(searched["model"] / "Format-Serving", TEACHER_FILE)
    inputs = images["eval"].astype(np.float32)
    np.testing.assert_array_equal(teacher.predict(inputs, verbose=0), reference.classifier.predict(inputs, verbose=0))


def test_only_the_trials_are_left_beside_the_outputs(searched):
    root = searched["tuner_results"].parents[1]
    parts = {path: path.relative_to(root).parts for path in root.rglob("*") if path.is_file()}
    files = {path.name for path, folders in parts.items() if not {".trials", "tensorboard"} & set(folders)}
    assert files == {
        "model.keras", TEACHER_FILE, "best_hyperparameters.txt", "tuner_results.json", SEARCH_REPORT_FILE,
    }  # fmt: skip


def test_an_interrupted_search_resumes(tmp_path, examples, reference, bank, monkeypatch):
    ended: list[str] = []
    on_trial_end = run._Reporting.on_trial_end

    def stopped_in_the_third(tuner, trial):
        if len(ended) == 2 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        on_trial_end(tuner, trial)
        ended.append(trial.trial_id)

    monkeypatch.setattr(run._Reporting, "on_trial_end", stopped_in_the_third)
    arguments = (tmp_path, examples, reference, bank)
    # Truncations make the quickest trials.
    how = {"tuner": "hyperband", "max_trials": 60, "max_epochs": 3}
    how["connections"] = ["block_2_add->head", "block_5_add->head"]
    with pytest.raises(KeyboardInterrupt):
        do(*arguments, **how)
    for folder in ("model", "best_hyperparameters", "tuner_results"):
        (tmp_path / folder / "1").rmdir()  # as TFX does; nothing is in them yet

    outputs = do(*arguments, **how)

    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    assert len(report) > 3
    # No trial was done twice, none was left out.
    assert sorted(row["trial_id"] for row in report) == sorted(ended)


KNOWN = {"translator": "block_5_add->head", "top_fc1_units": 0, "lr": 0.00789}


def first_trial(outputs: dict[str, Path]) -> dict:
    reports = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    (first,) = [report for report in reports if int(report["trial_id"]) == 0]
    return first["hyperparameters"]


def test_the_best_of_an_earlier_search_is_tried_first(tmp_path, examples, reference, bank):
    unknown = {"tuner/epochs": 9, "first_cut": "block_13_project_BN->head"}  # the latter of an earlier release
    outputs = do(tmp_path, examples, reference, bank, known={**KNOWN, **unknown}, max_trials=1)
    assert first_trial(outputs) == KNOWN


def test_unreadable_hyperparameters_are_ignored(tmp_path, examples, reference, bank, caplog):
    do(tmp_path, examples, reference, bank, known=[], max_trials=1, connections=["block_5_add->head"])
    assert "cannot be read" in caplog.text


def test_the_best_trial_is_within_budget_and_scored_by_the_chosen_cost(tmp_path, examples, reference, bank):
    # Of these, one alone keeps the budget, and on noise the larger one may well score better.
    connections = ["block_2_add->head"]
    small, large = (
        attach_head(create_submodel(reference.base, connections[0]), 3, units=units).count_params() for units in (4, 64)
    )
    budget = (small + large) // 2
    how = {"connections": connections, "head_units": [64, 4], "max_trials": 4, "max_epochs": 1}
    outputs = do(tmp_path, examples, reference, bank, **how, objective={"cost": "macs"}, budgets={"parameters": budget})
    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    assert {row["parameters"]: row["within_budget"] for row in report} == {small: True, large: False}
    assert report[0]["parameters"] == small
    total = multiply_adds(reference.classifier)
    assert [row["compression"] for row in report] == [pytest.approx(1 - row["cost"] / total) for row in report]
    assert min(row["cost"] for row in report) == report[0]["cost"] < total
    model = load_keras(outputs["model"] / "Format-Serving")
    assert model.count_params() == small
    stored = json.loads((outputs["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    assert kt.HyperParameters.from_config(stored).values == report[0]["hyperparameters"]


def test_each_budget_of_a_family_has_its_own_network(tmp_path, examples, reference, bank):
    connections = ["block_2_add->head"]
    small, large = (
        attach_head(create_submodel(reference.base, connections[0]), 3, units=units).count_params() for units in (4, 64)
    )
    budgets = {"tiny": {"parameters": (small + large) // 2}, "wide": {"parameters": 10 * large}}
    outputs = do(
        tmp_path, examples, reference, bank, connections=connections, head_units=[64, 4], max_trials=12, max_epochs=1,
        tau=1.0, budgets=budgets, finalists=2, finalist_epochs=1,
    )  # fmt: skip
    stored = json.loads((outputs["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    kt.HyperParameters.from_config(stored)
    trials = []
    for name, budget in budgets.items():
        report = json.loads((outputs["tuner_results"] / name / SEARCH_REPORT_FILE).read_text())
        finalists = json.loads((outputs["tuner_results"] / name / "finalists.json").read_text())
        trials.append({row["trial_id"] for row in report})
        assert {row["hyperparameters"]["budget"] for row in report} == set(budgets)
        assert all(row["within_budget"] == (row["parameters"] <= budget["parameters"]) for row in report)
        assert report[0]["trial_id"] == finalists[0]["trial_id"]
        model = load_keras(outputs["model"] / "Format-Serving", f"model-{name}.keras")
        assert model.count_params() == report[0]["parameters"] <= budget["parameters"]
        assert without_places(stored["family"][name]) == report[0]["hyperparameters"]
    assert trials[0] == trials[1]  # the same trials for both
    assert not (outputs["tuner_results"] / SEARCH_REPORT_FILE).exists()


def test_latencies_come_from_the_table_of_a_device(tmp_path, examples, reference, bank, monkeypatch, caplog):
    monkeypatch.setattr(costs, "time_models", None)  # nothing is timed here
    caplog.set_level("INFO")
    connection = find_connection("block_5_add->head", reference.base)
    files = files_to_measure(reference.classifier, [(reference.base, [connection])])
    whole = len(operators(files["reference"]))
    rows = [f"{name},{0.03 * whole if name == 'reference' else 0.02}" for name in files]
    table = tmp_path / "phone.csv"
    how = {
        "connections": [str(connection)], "objective": {"cost": "latency"}, "latency_table": str(table),
        "max_trials": 1, "max_epochs": 1,
    }  # fmt: skip
    table.write_text("\n".join(["operator,milliseconds", *rows[:-1]]))
    with pytest.raises(CompressorError, match=f"phone.csv lacks 1 operators of the networks: {rows[-1].split(',')[0]}"):
        do(tmp_path / "lacking", examples, reference, bank, **how)

    table.write_text("\n".join(["operator,milliseconds", *rows]))
    outputs = do(tmp_path, examples, reference, bank, **how)

    (row,) = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    network = load_keras(outputs["model"] / "Format-Serving")
    milliseconds = pytest.approx(0.03 * len(operators(costs.converted(network, "float32"))))
    assert row["cost"] == milliseconds
    assert row["compression"] == pytest.approx(1 - row["cost"] / (0.03 * whole))
    device = read_device_latencies(str(outputs["tuner_results"]))
    assert (device.table, device.precision, device.reference) == ("phone.csv", "float32", pytest.approx(0.03 * whole))
    assert device.trials == {row["trial_id"]: milliseconds}
    assert "latencies are those of the latency table phone.csv (float32), not of this machine" in caplog.text


def test_each_budget_of_a_family_takes_its_latencies_from_the_table(tmp_path, examples, reference, bank, monkeypatch):
    monkeypatch.setattr(costs, "time_models", None)  # nothing is timed here
    connections = [find_connection(name, reference.base) for name in ("block_2_add->head", "block_5_add->head")]
    files = files_to_measure(reference.classifier, [(reference.base, connections)])
    rows = {name: 0.03 * len(operators(file)) if name == "reference" else 0.02 for name, file in files.items()}
    table = tmp_path / "phone.csv"
    budgets = {"fast": {"latency_ms": 1.0}, "slim": {"parameters": reference.classifier.count_params()}}
    how = {
        "connections": [str(connection) for connection in connections], "latency_table": str(table), "max_trials": 4,
        "max_epochs": 1, "budgets": budgets,
    }  # fmt: skip

    def write_table(left_out: str = "") -> None:
        kept = [f"{name},{time}" for name, time in rows.items() if name != left_out]
        table.write_text("\n".join(["operator,milliseconds", *kept]))

    last = list(rows)[-1]
    write_table(left_out=last)
    with pytest.raises(CompressorError, match=f"phone.csv lacks 1 operators of the networks: {last}"):
        do(tmp_path / "lacking", examples, reference, bank, **how)

    write_table()
    outputs = do(tmp_path, examples, reference, bank, **how)
    device = read_device_latencies(str(outputs["tuner_results"]))
    for name in budgets:
        report = json.loads((outputs["tuner_results"] / name / SEARCH_REPORT_FILE).read_text())
        assert {row["trial_id"] for row in report} == set(device.trials)
        network = load_keras(outputs["model"] / "Format-Serving", f"model-{name}.keras")
        milliseconds = 0.03 * len(operators(costs.converted(network, "float32")))
        assert device.trials[report[0]["trial_id"]] == pytest.approx(milliseconds)


def test_the_best_finalist_is_handed_on_as_it_was_retrained(tmp_path, examples, reference, bank, images):
    cuts = ["block_2_add->head", "block_5_add->head"]
    outputs = do(
        tmp_path, examples, reference, bank, connections=cuts, max_trials=4, max_epochs=1, finalists=2,
        finalist_epochs=1,
    )  # fmt: skip
    finalists = json.loads((outputs["tuner_results"] / FINALISTS_FILE).read_text())
    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    winner = finalists[0]
    assert len(finalists) == len({row["connection"] for row in report})
    assert winner["trial_id"] == report[0]["trial_id"]
    assert len(winner["history"]["val_accuracy"]) == 1
    stored = json.loads((outputs["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    assert kt.HyperParameters.from_config(stored).values == report[0]["hyperparameters"]

    model = load_keras(outputs["model"] / "Format-Serving")
    frozen = create_submodel(reference.base, winner["connection"]).get_layer("Conv1").get_weights()[0]
    assert np.abs(model.get_layer("Conv1").get_weights()[0] - frozen).max() > 0
    predicted = model.predict(images["eval"].astype(np.float32), verbose=0).argmax(axis=-1)
    assert winner["accuracy"] == pytest.approx(np.mean(predicted == np.arange(len(predicted)) % 3))


def test_only_connections_of_the_shortlist_are_tried(tmp_path, examples, reference, bank):
    outputs = do(tmp_path, examples, reference, bank, shortlist=1)
    reports = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    tried = {report["connection"] for report in reports}
    assert len(tried & {"block_2_add->block_16_expand", "block_5_add->Conv_1"}) <= 1


@pytest.mark.parametrize("parallel_trials", [1, 2])
def test_sizes_and_backbones_are_searched_together(tmp_path, examples, reference, bank, parallel_trials):
    outputs = do(
        tmp_path, examples, reference, bank, connections=["block_5_add->head", "block_5_add->Conv_1"],
        input_sizes=[32, 48], backbones=[{"name": "MobileNetV2", "alpha": 0.5, "weights": "none"}],
        max_trials=6, max_epochs=1, parallel_trials=parallel_trials,
    )  # fmt: skip
    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    assert len(report) == 6
    tried = {(row["backbone"], row["input_size"]) for row in report}
    assert len(tried) > 1
    assert tried <= {(backbone, size) for backbone in ("MobileNetV2 0.35", "MobileNetV2 0.5") for size in (32, 48)}
    best = report[0]
    model = load_keras(outputs["model"] / "Format-Serving")
    assert model.input_shape[1] == best["input_size"] == best["hyperparameters"]["input_size"]
    assert model.count_params() == best["parameters"]
    stored = kt.HyperParameters.from_config(
        json.loads((outputs["best_hyperparameters"] / "best_hyperparameters.txt").read_text())
    )
    assert stored.values["backbone"] == best["backbone"]


def test_workers_receive_the_shortlist(examples, reference, bank):
    patterns = {split: f"{examples.uri}/Split-{split}/*" for split in ("train", "eval")}
    options = PruningSearchOptions(connections=tuple(CONNECTIONS), shortlist=1)
    job = search_job(
        reference, bank_dir=bank.uri, train=patterns["train"], validation=patterns["eval"], options=options
    )
    hypermodel = job.hypermodel()
    narrowed = job.narrowed(hypermodel)
    assert connections_of(narrowed.hypermodel()) == connections_of(hypermodel)
    assert 0 < len(connections_of(hypermodel)["MobileNetV2 0.35", 32]) < len(CONNECTIONS)
    assert narrowed.options.shortlist is None


def test_an_impossible_budget_is_reported_before_the_search(tmp_path, examples, reference, bank):
    with pytest.raises(CompressorError, match="the closest one, block_2_add->block_16"):
        do(tmp_path, examples, reference, bank, connections=CONNECTIONS[:1], budgets={"parameters": 1000})
    assert not (tmp_path / ".trials").exists()


@pytest.fixture
def processes(monkeypatch) -> list[subprocess.Popen]:
    """The workers' processes, in the order in which they are started."""
    started: list[subprocess.Popen] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(parallel.subprocess, "Popen", Noted)
    return started


def instead_of_workers(monkeypatch, code: str) -> None:
    """Lets the workers' processes run this code."""
    monkeypatch.setattr(parallel._Worker, "_command", property(lambda worker: [sys.executable, "-c", code]))


def saved_oracle(folder: Path) -> dict:
    """What the chief has saved, nothing where it has not yet or is about to."""
    try:
        (file,) = folder.rglob("oracle.json")
        return json.loads(file.read_text())
    except ValueError:
        return {"ongoing_trials": {}, "end_order": []}


def test_a_parallel_search_survives_a_killed_worker(tmp_path, examples, reference, bank, processes, caplog):
    killed = threading.Event()

    def kill_the_first_to_work():
        while not killed.is_set():
            time.sleep(0.05)
            for name in saved_oracle(tmp_path)["ongoing_trials"]:
                processes[int(name[-1])].kill()
                killed.set()
                break

    killer = threading.Thread(target=kill_the_first_to_work)
    killer.start()
    with caplog.at_level("INFO"):
        outputs = do(
            tmp_path, examples, reference, bank, tuner="hyperband", max_trials=5, max_epochs=3, parallel_trials=2,
            connections=["block_2_add->head", "block_5_add->head", "block_5_add->Conv_1"], known=KNOWN,
        )  # fmt: skip
    killer.join()

    assert len(processes) == 3
    assert sorted(process.returncode for process in processes) == [-signal.SIGKILL, 0, 0]
    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    assert sorted(row["trial_id"] for row in report) == [f"{number}" for number in range(len(report))]
    assert len(report) == 5  # of the six that Hyperband makes of three epochs
    assert KNOWN.items() <= first_trial(outputs).items()
    assert sum(record.message.startswith("trial ") for record in caplog.records) == 5
    assert load_keras(outputs["model"] / "Format-Serving").count_params() == report[0]["parameters"]
    (trials,) = (tmp_path / ".trials").iterdir()
    assert (trials / "done").is_file()


@pytest.mark.long
def test_an_interrupted_parallel_search_resumes(tmp_path, examples, reference, bank, processes, monkeypatch):
    sleep = time.sleep

    def stopped_after_two_trials(seconds):
        sleep(seconds)
        if len(saved_oracle(tmp_path)["end_order"]) >= 2:
            raise KeyboardInterrupt

    how = {"connections": ["block_2_add->head", "block_5_add->head"], "max_trials": 12, "parallel_trials": 2}
    monkeypatch.setattr(parallel.time, "sleep", stopped_after_two_trials)
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path, examples, reference, bank, **how)
    monkeypatch.setattr(parallel.time, "sleep", sleep)
    assert all(process.returncode is not None for process in processes)
    ended = saved_oracle(tmp_path)["end_order"]
    (first,) = [path.read_text() for path in tmp_path.rglob(f"trial_{ended[0]}/trial.json")]
    for folder in ("model", "best_hyperparameters", "tuner_results"):
        (tmp_path / folder / "1").rmdir()  # as TFX does; nothing is in them yet

    outputs = do(tmp_path, examples, reference, bank, **how)

    report = json.loads((outputs["tuner_results"] / SEARCH_REPORT_FILE).read_text())
    assert sorted(int(row["trial_id"]) for row in report) == list(range(12))
    (again,) = [row for row in report if row["trial_id"] == ended[0]]
    assert again["score"] == json.loads(first)["score"]


def test_a_search_without_workers_left_shows_the_last_log(tmp_path, examples, reference, bank, processes, monkeypatch):
    instead_of_workers(monkeypatch, "print('boom'); raise SystemExit(3)")
    with pytest.raises(CompressorError, match=r"all workers of the search died(.|\n)*worker-1.log ends with:\nboom"):
        do(tmp_path, examples, reference, bank, parallel_trials=2)
    assert len(processes) == 2 * (1 + parallel._RESTARTS)


@pytest.mark.survives("a disk is full during a worker's trial")
def test_a_full_disk_ends_a_parallel_search(tmp_path, examples, reference, bank, processes, monkeypatch):
    instead_of_workers(monkeypatch, f"print('the disk is full'); raise SystemExit({parallel.STOPPED})")
    with pytest.raises(CompressorError, match=r"the search stopped\n.*/worker-\d.log ends with:\nthe disk is full$"):
        do(tmp_path, examples, reference, bank, parallel_trials=2)
    assert len(processes) == 2


def test_a_worker_reports_errors_that_no_trial_caused(tmp_path, reference):
    options = PruningSearchOptions(connections=tuple(CONNECTIONS))
    job = search_job(reference, bank_dir=str(tmp_path), train="none", validation="none", options=options)
    job.save(tmp_path / "job.json")
    command = [*module_command("components.pruning_search.worker"), str(tmp_path / "job.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.read()
        assert process.wait() == parallel.STOPPED
    assert "translator" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_chief_whose_disk_is_full_records_nothing_more(tmp_path, monkeypatch):
    oracle = run.TUNERS["random"](Nothing(), run.SearchOptions("random"), tmp_path).oracle
    chief, trial = parallel._Chief(oracle), oracle.create_trial("worker-0")
    with monkeypatch.context() as full:
        full.setattr(oracle, "update_trial", lambda *_, **__: replace_file("/dev/full/none", b""))
        with pytest.raises(NotADirectoryError):
            chief.UpdateTrial(protos.get_service().UpdateTrialRequest(trial_id=trial.trial_id), None)
    trial.status = "INVALID"  # as a worker takes it that is not answered
    with pytest.raises(NotADirectoryError):
        chief.EndTrial(protos.get_service().EndTrialRequest(trial=trial.to_proto()), None)
    assert oracle.end_order == []
    chief.stop()


def test_workers_are_stopped_with_the_search(tmp_path, examples, reference, bank, processes, monkeypatch):
    instead_of_workers(monkeypatch, "import time; time.sleep(600)")

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel.time, "sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path, examples, reference, bank, parallel_trials=2)
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2


def test_a_worker_does_not_outlive_its_search(tmp_path):
    command = [*module_command("components.pruning_search.worker"), str(tmp_path / "job.json")]
    os.mkfifo(tmp_path / "job.json")  # so that it would wait for ever
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.stdin.close()
        assert process.wait(timeout=300) == 1


@pytest.mark.parametrize("tuner", ["hyperband", "random"])
def test_workers_do_not_wait_for_an_abandoned_trial(tmp_path, tuner):
    made = run.TUNERS[tuner](Nothing(), run.SearchOptions(tuner, max_trials=3, max_epochs=3), tmp_path)
    chief = parallel._Chief(made.oracle)
    lost = made.oracle.create_trial("worker-0")
    chief.give_up("worker-0")
    assert made.oracle.trials[lost.trial_id].status == "FAILED"
    while (trial := made.oracle.create_trial("worker-1")).status != "STOPPED":
        assert trial.status == "RUNNING"
        made.oracle.update_trial(trial.trial_id, {run.OBJECTIVE: 0.5})
        trial.status = "COMPLETED"
        made.oracle.end_trial(trial)
    chief.stop()


def test_too_many_failures_in_a_row_are_reported(tmp_path):
    chief = parallel._Chief(run.TUNERS["random"](Nothing(), run.SearchOptions("random"), tmp_path).oracle)
    for number in range(run.MOST_FAILURES):
        assert chief.failure is None
        chief.oracle.create_trial(f"worker-{number}")
        chief.give_up(f"worker-{number}")
    (tmp_path / "worker-0.log").write_text("why")
    with pytest.raises(CompressorError, match=r"the search stopped: Number of consecutive failures(.|\n)*\nwhy$"):
        parallel._watch(chief, [parallel._Worker("worker-0", tmp_path, chief.port, threads=1)])
    chief.stop()


def test_trials_with_other_translators_are_not_resumed(reference):
    properties = component().exec_properties
    keys = {_key(properties, [reference.base], "examples", bank) for bank in ("bank", "other bank")}
    assert len(keys) == 2


def test_translators_of_another_backbone_are_refused(tmp_path, examples, reference, make_classifier):
    other = save_bank(without_head(make_classifier(seed=1), name="MobileNetV2"), tmp_path / "other")
    with pytest.raises(CompressorError, match="fitted on the backbone"):
        do(tmp_path, examples, reference, other)


def test_a_connection_without_translator_is_reported(tmp_path, examples, reference, bank):
    with pytest.raises(CompressorError, match="no translator for block_1_project_BN->Conv_1"):
        do(tmp_path, examples, reference, bank, connections=["block_1_project_BN->Conv_1"])


def test_an_empty_bank_folder_is_reported(tmp_path, examples, reference):
    nothing = artifact(standard_artifacts.Model, tmp_path / "nothing")
    with pytest.raises(CompressorError, match="holds no complete translator bank"):
        do(tmp_path, examples, reference, nothing)


def test_parameters_are_text_and_numbers_for_every_orchestrator():
    parameters = PruningSearch.SPEC_CLASS.PARAMETERS
    assert {parameter.type for parameter in parameters.values()} <= {int, float, str}
    assert set(component().exec_properties) == set(parameters)


@pytest.mark.parametrize(
    "budgets", [BudgetOptions(latency_ms=8.5), {"tiny": BudgetOptions(memory_kb=9), "small": BudgetOptions(macs=5)}]
)
def test_a_job_is_read_as_it_was_written(tmp_path, reference, budgets):
    options = PruningSearchOptions(
        connections=("53,151",), head_units=(0, 8), budgets=budgets, input_sizes=(96, 128),
        backbones=(BackboneOptions("MobileNet", 0.5, "none"),),
    )  # fmt: skip
    known = [{"translator": "53,151", "lr": 0.01}]
    chosen = [Shortlisted("tiny", "MobileNet 0.5", 96, ("conv_pw_6_relu->head",))]
    job = search_job(
        reference, bank_dir="bank", train="a", validation="b", options=options, known=known, shortlisted=chosen
    )
    job.save(tmp_path / "job.json")
    assert SearchJob.load(tmp_path / "job.json") == job


def test_the_component_passes_on_its_arguments():
    options = PruningSearchOptions(
        connections=("53,151",), tuner="grid", max_trials=4, max_epochs=5, parallel_trials=2, tau=0.5,
        shortlist=9, train_translators=True, feature_memory_mb=100, objective=ObjectiveOptions("latency"),
        budgets=BudgetOptions(parameters=500_000, latency_ms=8.5), input_sizes=(96,), head_units=(0, 8),
        backbones=(BackboneOptions("MobileNet", 0.5),),
        tail_units=(64,), min_learning_rate=0.01, max_learning_rate=0.1,
    )  # fmt: skip
    channels = {name: types.Channel(type=standard_artifacts.Model) for name in ("base_model", "translators")}
    wired = PruningSearch(
        types.Channel(type=standard_artifacts.Examples), **channels, backbone="MobileNetV2", options=options,
        dropout=0.3, batch_size=7, class_weights="balanced", seed=2, code_version="x", label="own",
        files_sha256="123",
    )  # fmt: skip
    handed_on = dict(wired.exec_properties)
    assert json.loads(handed_on.pop("options")) == {
        "connections": ["53,151"], "tuner": "grid", "max_trials": 4, "max_epochs": 5, "parallel_trials": 2,
        "shortlist": 9, "train_translators": True, "feature_memory_mb": 100, "tau": 0.5,
        "objective": {"cost": "latency"},
        "budgets": {"parameters": 500_000, "macs": None, "bytes": None, "latency_ms": 8.5, "memory_kb": None},
        "latency_table": None, "finalists": 1, "finalist_epochs": 3,
        "input_sizes": [96], "backbones": [{"name": "MobileNet", "alpha": 0.5, "weights": "imagenet"}],
        "head_units": [0, 8], "tail_units": [64], "min_learning_rate": 0.01, "max_learning_rate": 0.1,
    }  # fmt: skip
    assert handed_on == {
        "backbone": "MobileNetV2", "retraining": "", "precision": "float32", "vertex_job": "",
        "dropout": 0.3, "batch_size": 7,
        "class_weights": "balanced", "seed": 2, "code_version": "x", "label": "own", "files_sha256": "123",
    }  # fmt: skip
    assert {key: output.type for key, output in wired.outputs.items()} == {
        "model": standard_artifacts.Model,
        "best_hyperparameters": standard_artifacts.HyperParameters,
        "tuner_results": standard_artifacts.TunerResults,
    }
