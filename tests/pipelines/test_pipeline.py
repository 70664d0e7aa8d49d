from __future__ import annotations

import hashlib
import json
import zipfile

import pytest
from google.protobuf import json_format
from tensorflow_model_analysis import EvalConfig
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.node_options import AnomalyOptions
from components.options import as_parameter
from pipelines.config.beam import IN_ONE_PROCESS, Beam, beam_flags
from pipelines.config.config import load_config
from pipelines.pipeline import create_pipeline

FROM_FOLDER = [
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "reference",
    "PreviousRun", "TranslatorPretrainer", "PruningSearch", "retrain", "Converter", "Evaluator", "Pusher", "Report",
    "Handover",
]  # fmt: skip
OWN_CODE = [
    "ImageExampleGen", "ExampleValidator", "Transform", "reference", "PreviousRun", "TranslatorPretrainer",
    "PruningSearch", "retrain", "Converter", "Evaluator", "Pusher", "Report", "Handover",
]  # fmt: skip
CONFIG = """
name: small
data: {source: folder}
backbone: {name: MobileNetV2, input_size: 64, alpha: 0.35, weights: none}
head: {units: 8, dropout: 0.3}
"""


@pytest.fixture
def create(tmp_path):
    """Makes a pipeline and returns its nodes by id: ``create("gate.max_drop=0.1", ...)``."""
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "images" / label / f"{number}.jpg").write_bytes(b"not read yet")
    (tmp_path / "config.yaml").write_text(CONFIG)

    def make(*overrides: str, code_version: str = "v1") -> dict[str, tfx.types.BaseNode]:
        places = [f"data.path={tmp_path / 'images'}", f"output={tmp_path / 'out'}"]
        config = load_config(tmp_path / "config.yaml", [*places, *overrides])
        make.pipeline = create_pipeline(config, code_version=code_version)
        return {node.id: node for node in make.pipeline.components}

    return make


def sources(node: tfx.types.BaseNode) -> dict[str, tuple[str, str]]:
    """Node and key that each input of a node comes from."""
    return {
        key: (channel.producer_component_id, channel.output_key)
        for key, channel in node.inputs.items()
        if channel.producer_component_id
    }


def custom_config(node: tfx.types.BaseNode) -> dict:
    return json.loads(node.exec_properties["custom_config"])


def thresholds(nodes: dict[str, tfx.types.BaseNode]) -> list[dict]:
    """Those of all images, and of each class if there are any."""
    config = json_format.Parse(nodes["Evaluator"].exec_properties["eval_config"], EvalConfig())
    accuracy, count = config.metrics_specs[0].metrics
    assert (accuracy.class_name, count.class_name) == ("Accuracy", "ExampleCount")
    return [json_format.MessageToDict(one.threshold) for one in accuracy.per_slice_thresholds]


def test_nodes_places_and_cache(create, tmp_path):
    nodes = create("beam.workers=2", "beam_pipeline_args=['--job_name=own']")
    pipeline = create.pipeline

    assert sorted(nodes) == sorted(FROM_FOLDER)
    assert pipeline.pipeline_info.pipeline_name == "small"
    assert pipeline.pipeline_info.pipeline_root == str(tmp_path / "out" / "pipeline_root")
    assert pipeline.metadata_connection_config.sqlite.filename_uri == str(tmp_path / "out" / "metadata.sqlite")
    assert pipeline.enable_cache
    assert pipeline.beam_pipeline_args == [*beam_flags(Beam(workers=2)), "--job_name=own"]
    for node in ("StatisticsGen", "TranslatorPretrainer", "Evaluator"):
        assert nodes[node].executor_spec.beam_pipeline_args == [*pipeline.beam_pipeline_args, *IN_ONE_PROCESS]
    for node in ("ImageExampleGen", "Transform"):
        assert nodes[node].executor_spec.beam_pipeline_args == pipeline.beam_pipeline_args
    for node in ("Pusher", "PreviousRun", "Handover"):
        assert nodes[node].exec_properties["push_directory"] == str(tmp_path / "out" / "serving")


def test_channels(create):
    nodes = create()
    examples = ("Transform", "transformed_examples")
    training = {"examples": examples, "transform_graph": ("Transform", "transform_graph")}
    reference = ("reference", "model")

    assert sources(nodes["Transform"]) == {
        "examples": ("ImageExampleGen", "examples"),
        "schema": ("SchemaGen", "schema"),
        "statistics": ("StatisticsGen", "statistics"),
        "previous_classes": ("PreviousRun", "classes"),
    }
    assert sources(nodes["reference"]) == training
    assert sources(nodes["TranslatorPretrainer"]) == {
        "examples": examples,
        "base_model": reference,
        "previous_translators": ("PreviousRun", "translators"),
    }
    assert sources(nodes["PruningSearch"]) == {
        "examples": examples,
        "base_model": reference,
        "translators": ("TranslatorPretrainer", "translators"),
        "previous_hyperparameters": ("PreviousRun", "hyperparameters"),
    }
    assert sources(nodes["retrain"]) == {
        **training,
        "base_model": ("PruningSearch", "model"),
        "hyperparameters": ("PruningSearch", "best_hyperparameters"),
    }
    assert sources(nodes["Converter"]) == {
        "base_model": ("retrain", "model"),
        "reference": reference,
        "examples": examples,
    }
    assert sources(nodes["Evaluator"]) == {
        "examples": examples,
        "model": ("Converter", "model"),
        "baseline_model": reference,
    }
    assert sources(nodes["Pusher"]) == {
        "model": ("Converter", "model"),
        "model_blessing": ("Evaluator", "blessing"),
        "evaluation": ("Evaluator", "evaluation"),
        "reference": reference,
        "tuner_results": ("PruningSearch", "tuner_results"),
        "statistics": ("StatisticsGen", "statistics"),
    }
    assert sources(nodes["PreviousRun"]) == {"current": ("StatisticsGen", "statistics")}
    assert sources(nodes["Handover"]) == {
        "examples": ("ImageExampleGen", "examples"),
        "hyperparameters": ("PruningSearch", "best_hyperparameters"),
        "translators": ("TranslatorPretrainer", "translators"),
        "statistics": ("StatisticsGen", "statistics"),
    }
    assert nodes["Pusher"] in nodes["Handover"].upstream_nodes
    assert sources(nodes["Report"]) == {
        "examples": ("ImageExampleGen", "examples"),
        "statistics": ("StatisticsGen", "statistics"),
        "anomalies": ("ExampleValidator", "anomalies"),
        "transformed_examples": examples,
        "reference": reference,
        "reference_run": ("reference", "model_run"),
        "translators": ("TranslatorPretrainer", "translators"),
        "tuner_results": ("PruningSearch", "tuner_results"),
        "compressed": ("Converter", "model"),
        "compressed_run": ("retrain", "model_run"),
        "evaluation": ("Evaluator", "evaluation"),
        "pushed_model": ("Pusher", "pushed_model"),
    }
    assert sources(nodes["ExampleValidator"]) == {
        "statistics": ("StatisticsGen", "statistics"),
        "schema": ("SchemaGen", "schema"),
        "examples": ("ImageExampleGen", "examples"),
        "previous_statistics": ("PreviousRun", "statistics"),
        "previous_classes": ("PreviousRun", "classes"),
    }


def test_classes_to_remove_reach_the_nodes_that_know_the_pushed_ones(create):
    nodes = create('data.removed_classes=["cafe\\u0301", dog, dog]')
    for node in ("Transform", "ExampleValidator", "Pusher"):
        assert json.loads(nodes[node].exec_properties["removed_classes"]) == ["café", "dog"]
    assert nodes["Transform"].exec_properties["label"] == "label"


def test_nothing_is_trained_before_the_data_is_looked_at_where_it_may_stop_the_run(create):
    nodes = create("data.on_anomaly=stop", "data.max_drift=0.3", "data.label_feature=name")
    assert nodes["ExampleValidator"] in nodes["Transform"].upstream_nodes
    given = nodes["ExampleValidator"].exec_properties
    assert given["label"] == "name"
    assert given["options"] == as_parameter(AnomalyOptions(max_drift=0.3, on_anomaly="stop"))
    nodes = create()
    assert nodes["ExampleValidator"] not in nodes["Transform"].upstream_nodes


def test_a_cold_start_takes_nothing_of_the_previous_run(create):
    nodes = create("warm_start=false")
    assert sorted(nodes) == sorted(FROM_FOLDER)
    for node in ("TranslatorPretrainer", "PruningSearch"):
        assert "PreviousRun" not in {producer for producer, _ in sources(nodes[node]).values()}


def test_models_are_trained_on_train_and_judged_on_test(create):
    nodes = create()
    for trainer in ("reference", "retrain"):
        properties = nodes[trainer].exec_properties
        assert json.loads(properties["train_args"]) == {"splits": ["train"]}
        assert json.loads(properties["eval_args"]) == {"splits": ["eval"]}
    assert nodes["TranslatorPretrainer"].exec_properties["split"] == "train"
    assert json.loads(nodes["Evaluator"].exec_properties["example_splits"]) == ["test"]


def test_sections_reach_their_nodes(create):
    nodes = create(
        "seed=7", "translators.held_out=0.25", "translators.ridge=0.5",
        "search.tuner=grid", "search.connections=['53,151']", "search.head_units=[0, 4]",
        "search.input_sizes=[96, 224]", "search.backbones=[{name: MobileNet, alpha: 0.5}]",
        "search.tau=0.6", "search.max_trials=3", "search.max_epochs=2", "search.parallel_trials=2",
        "search.shortlist=9", "search.train_translators=true", "search.feature_memory_mb=100",
        "search.finalists=2", "search.finalist_epochs=4",
        "search.objective.cost=latency", "search.budgets={parameters: 500_000, latency_ms: 8}",
        "search.min_learning_rate=0.01", "search.max_learning_rate=0.02",
        "reference.epochs=3", "retrain.epochs=4", "retrain.batch_size=9", "retrain.strategy=mirrored",
        "export.formats=[int8]", "data.class_weights=balanced",
    )  # fmt: skip

    assert custom_config(nodes["Transform"])["sizes"] == [64, 96, 224]
    reference = custom_config(nodes["reference"])
    assert reference["role"] == "reference"
    assert reference["head"] == {"units": 8, "dropout": 0.3}
    assert reference["backbone"] == {
        "name": "MobileNetV2", "input_size": 64, "alpha": 0.35, "weights": "none",
        "model": None, "classes": None, "rescale": None,
    }  # fmt: skip
    assert (reference["seed"], reference["training"]["epochs"]) == (7, 3)
    retrain = custom_config(nodes["retrain"])
    assert retrain["role"] == "compressed"
    converter = nodes["Converter"].exec_properties
    assert (json.loads(converter["formats"]), converter["seed"]) == (["int8"], 7)
    assert (retrain["seed"], retrain["training"]["epochs"]) == (7, 4)
    assert (reference["training"]["strategy"], retrain["training"]["strategy"]) == ("none", "mirrored")
    assert retrain["training"]["compute"] == 5 + 3 * 3  # what the reference model's training may take
    assert retrain["training"]["distillation"] == {"weight": 0.5, "temperature": 2.0, "views": 8}
    pretrainer, search = (nodes[node].exec_properties for node in ("TranslatorPretrainer", "PruningSearch"))
    assert pretrainer["backbone"] == search["backbone"] == "MobileNetV2"
    assert search["label"] == "MobileNetV2 0.35"
    assert pretrainer["connections"] == '["53,151"]'
    assert json.loads(pretrainer["options"]) == {"held_out": 0.25, "ridge": 0.5}
    assert json.loads(search["options"]) == {
        "tuner": "grid", "connections": ["53,151"], "head_units": [0, 4], "tail_units": [128, 256, 512],
        "input_sizes": [96, 224],
        "backbones": [{"name": "MobileNet", "alpha": 0.5, "weights": "imagenet"}],
        "tau": 0.6, "max_trials": 3, "max_epochs": 2, "parallel_trials": 2,
        "shortlist": 9, "train_translators": True, "feature_memory_mb": 100,
        "objective": {"cost": "latency"},
        "budgets": {"parameters": 500_000, "macs": None, "bytes": None, "latency_ms": 8, "memory_kb": None},
        "min_learning_rate": 0.01, "max_learning_rate": 0.02, "finalists": 2, "finalist_epochs": 4,
        "latency_table": None,
    }  # fmt: skip
    assert search["precision"] == "int8"
    finalists = json.loads(search["retraining"])
    assert (finalists["epochs"], finalists["batch_size"], finalists["distillation"]) == (4, 9, None)
    assert (search["dropout"], search["seed"], search["batch_size"]) == (0.3, 7, 9)
    assert reference["class_weights"] == retrain["class_weights"] == search["class_weights"] == "balanced"


def test_another_format_runs_the_converter_anew_and_what_is_behind_it(create):
    before, after = (create(f"export.formats={formats}") for formats in ("[float32]", "[float32, int8]"))
    changed = {name for name in before if before[name].exec_properties != after[name].exec_properties}
    assert changed == {"Converter", "Report"}  # the report has the configuration
    behind = {name for name, node in after.items() if ("Converter", "model") in sources(node).values()}
    assert behind == {"Evaluator", "Pusher", "Report"}


@pytest.mark.parametrize("measured", ["search.objective.cost=bytes", "search.budgets.latency_ms=8"])
def test_another_format_runs_a_search_anew_that_measures_files(create, measured):
    formats = ("[float32]", "[float32, float16]", "[float16, int8]")
    nodes = [create(f"export.formats={each}", measured)["PruningSearch"] for each in formats]
    assert [node.exec_properties["precision"] for node in nodes] == ["float32", "float16", "int8"]


def test_without_finalists_the_search_does_not_depend_on_the_retraining(create):
    before, after = (create(f"retrain.learning_rate={rate}")["PruningSearch"].exec_properties for rate in (1e-3, 1e-4))
    assert before == after


def test_without_widths_to_search_the_heads_own_is_taken(create):
    options = json.loads(create()["PruningSearch"].exec_properties["options"])
    assert options["head_units"] == [8]


def test_gate_against_the_reference(create):
    nodes = create("gate.min_accuracy=0.7", "gate.max_drop=0.1")
    assert thresholds(nodes) == [
        {
            "valueThreshold": {"lowerBound": 0.7},
            "changeThreshold": {"absolute": -0.1, "direction": "HIGHER_IS_BETTER"},
        }
    ]
    assert nodes["Evaluator"].exec_properties.get("confidence") is None


@pytest.mark.parametrize(
    "override", ["gate.baseline=reference", "gate.baseline=blessed", "gate.baseline=deployed", "warm_start=false"]
)
def test_no_node_takes_an_output_twice(create, override):
    """Kubeflow's metadata store takes an artifact once from a node, and fails there after all training."""
    nodes = create(override)
    for node in nodes.values():
        if isinstance(node, tfx.dsl.Resolver):
            continue  # it has no inputs of other nodes
        taken = list(sources(node).values())
        assert sorted(taken) == sorted(set(taken)), node.id
    assert ("reference", "model") in sources(nodes["Evaluator"]).values()


def test_gate_by_class_and_with_confidence(create):
    nodes = create("gate.max_class_drop=0.2", "gate.confidence=0.9")
    _, by_class = thresholds(nodes)
    assert by_class == {"changeThreshold": {"absolute": -0.2, "direction": "HIGHER_IS_BETTER"}}
    assert nodes["Evaluator"].exec_properties["confidence"] == 0.9


def test_gate_against_the_last_blessed_model(create):
    nodes = create("gate.baseline=blessed")

    assert sorted(nodes) == sorted([*FROM_FOLDER, "latest_blessed_model"])
    resolver = nodes["latest_blessed_model"]
    assert sources(nodes["Evaluator"])["baseline_model"] == ("latest_blessed_model", "model")
    assert resolver.outputs["model"].type is standard_artifacts.Model
    # Without a baseline yet, the bound on the accuracy must be there still.
    assert thresholds(nodes)[0]["valueThreshold"] == {"lowerBound": 0.5}


def test_the_codes_version_is_in_the_key_of_each_node_that_runs_our_code(create):
    one, two = (create(code_version=version) for version in ("v1", "v2"))
    changed = [node for node in FROM_FOLDER if one[node].exec_properties != two[node].exec_properties]
    assert changed == OWN_CODE


def test_what_a_weights_file_holds_is_in_the_references_key(create, tmp_path):
    weights = tmp_path / "some.weights.h5"
    seen = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        backbone = custom_config(create(f"backbone.weights={weights}")["reference"])["backbone"]
        assert backbone["weights"] == str(weights)
        assert backbone["weights_sha256"] == hashlib.sha256(content).hexdigest()
        seen.append(backbone)
    assert seen[0] != seen[1]


def test_what_a_further_backbones_weights_file_holds_is_in_the_searchs_key(create, tmp_path):
    weights = tmp_path / "some.weights.h5"
    weights.write_bytes(b"one")
    override = f"search.backbones=[MobileNet, {{name: EfficientNetB0, weights: {weights}}}]"
    hashed = create(override)["PruningSearch"].exec_properties["files_sha256"]
    assert hashed == hashlib.sha256(b"one").hexdigest()


def test_what_a_latency_table_holds_is_in_the_searchs_key(create, tmp_path):
    table = tmp_path / "phone.csv"
    table.write_text("operator,milliseconds\nreference,3\n")
    properties = create(f"search.latency_table={table}", "search.budgets.latency_ms=2")["PruningSearch"].exec_properties
    assert properties["files_sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert json.loads(properties["options"])["latency_table"] == str(table)


def test_a_model_of_ones_own_takes_the_place_of_a_name(create, tmp_path):
    layers = [{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 48, 48, 3]}}]
    model = {"module": "keras", "class_name": "Functional", "config": {"layers": layers}}
    path = tmp_path / "own.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))

    nodes = create(f"backbone={{model: {path}, classes: [dog, cat], rescale: [0.5, -1]}}")

    backbone = custom_config(nodes["reference"])["backbone"]
    assert (backbone["model"], backbone["classes"], backbone["rescale"]) == (str(path), ["dog", "cat"], [0.5, -1])
    assert backbone["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert custom_config(nodes["Transform"])["sizes"] == [48]
    for node in ("TranslatorPretrainer", "PruningSearch"):
        assert nodes[node].exec_properties["backbone"] == ""


def test_records_come_through_the_stock_component(create):
    nodes = create(
        "data.source=tfrecord", "data.splits={train: 3, eval: 2, test: 1}",
        "data.image_feature=image/encoded", "data.label_feature=image/class",
    )  # fmt: skip

    assert sorted(nodes) == sorted(["ImportExampleGen", *FROM_FOLDER[1:]])
    assert json.loads(nodes["ImportExampleGen"].exec_properties["output_config"]) == {
        "split_config": {
            "splits": [
                {"name": "train", "hash_buckets": 3},
                {"name": "eval", "hash_buckets": 2},
                {"name": "test", "hash_buckets": 1},
            ]
        }
    }
    names = custom_config(nodes["Transform"])
    assert (names["image"], names["label"]) == ("image/encoded", "image/class")


class TestFamily:
    OF_EACH = ("retrain", "Converter", "DeployedModel", "Evaluator", "Pusher")

    @pytest.fixture
    def nodes(self, create):
        return create("search.budgets={tiny: {memory_kb: 256}, small: {macs: 50_000_000}}", "gate.baseline=deployed")

    def test_each_member_has_its_own_nodes_after_the_one_search(self, nodes):
        shared = [node for node in FROM_FOLDER if node not in self.OF_EACH]
        assert sorted(nodes) == sorted(
            [*shared, *(f"{node}-{member}" for node in self.OF_EACH for member in ("tiny", "small"))]
        )
        assert custom_config(nodes["retrain-tiny"])["network"] == "model-tiny.keras"
        assert "network" not in custom_config(nodes["reference"])
        budgets = json.loads(nodes["PruningSearch"].exec_properties["options"])["budgets"]
        assert (budgets["tiny"]["memory_kb"], budgets["small"]["macs"]) == (256, 50_000_000)

    def test_members_are_not_wired_to_each_other(self, nodes):
        for member, other in (("tiny", "small"), ("small", "tiny")):
            for node in self.OF_EACH:
                assert not [one for one, _ in sources(nodes[f"{node}-{member}"]).values() if one.endswith(f"-{other}")]
            assert sources(nodes[f"Evaluator-{member}"])["baseline_model"] == (f"DeployedModel-{member}", "model")
            assert nodes[f"Pusher-{member}"].exec_properties["member"] == member
            assert nodes[f"Pusher-{member}"].exec_properties["name"] == f"small-{member}"
            assert nodes[f"DeployedModel-{member}"].exec_properties["member"] == member

    def test_the_report_has_the_inputs_of_all_members(self, nodes):
        found = sources(nodes["Report"])
        for member in ("tiny", "small"):
            assert found[f"compressed__{member}"] == (f"Converter-{member}", "model")
            assert found[f"compressed_run__{member}"] == (f"retrain-{member}", "model_run")
            assert found[f"evaluation__{member}"] == (f"Evaluator-{member}", "evaluation")
            assert found[f"pushed_model__{member}"] == (f"Pusher-{member}", "pushed_model")
        assert "compressed" not in found

    def test_the_state_for_the_next_run_waits_for_all_pushers(self, nodes):
        assert {node.id for node in nodes["Handover"].upstream_nodes} >= {"Pusher-tiny", "Pusher-small"}
