"""The whole pipeline on tiny images. Its models are too small to be any good."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.artifacts.model_files import files_sha256
from components.artifacts.verdict import read_verdict
from components.report.data import ReportData
from components.storage.examples import count_examples, split_patterns
from compressor_lib.deployment import phrases
from compressor_lib.deployment.export import load_keras, read_classes, tflite_paths
from compressor_lib.deployment.images import decode_image
from compressor_lib.deployment.model_metrics import read_figures
from compressor_lib.networks.heads import attach_head
from pipelines.config.config import METADATA_FILE
from pipelines.results.lineage import Lineage
from pipelines.results.outcome import collect, render_results

pytestmark = pytest.mark.slow

CONFIG = """
name: noise
data: {source: folder, max_bad_share: 0.05, splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.1}
reference: {head_epochs: 0, epochs: 2, learning_rate: 2.0e-3, batch_norm: train}
search:
  tuner: random
  max_trials: 3
  max_epochs: 2
  connections: ["block_2_add->block_16_expand", "block_5_add->Conv_1", "block_5_add->head"]
retrain: {head_epochs: 0, epochs: 2, learning_rate: 1.0e-3, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0}
"""
COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (220, 50, 40)}
SPLITS = {"train": 14, "eval": 3, "test": 3}
NODES = {
    "ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "reference",
    "PreviousRun", "TranslatorPretrainer", "PruningSearch", "retrain", "Converter", "Evaluator", "Pusher", "Report",
    "Handover",
}  # fmt: skip
OWN_CODE = {
    "ImageExampleGen", "ExampleValidator", "Transform", "reference", "PreviousRun", "TranslatorPretrainer",
    "PruningSearch", "retrain", "Converter", "Report", "Handover",
}  # fmt: skip

SERVE = """
import json, sys
import tensorflow as tf

model, *images = sys.argv[1:]
served = tf.saved_model.load(model).signatures["serving_default"]
encoded = [open(image, "rb").read() for image in images]
answer = served(image_bytes=tf.constant(encoded))
assert not {"compressor_lib", "components", "pipelines", "tfx"} & set(sys.modules)
classes = [name.decode() for name in answer["class"].numpy()]
print(json.dumps([classes, answer["probabilities"].numpy().tolist()]))
"""


def all_nodes(outcome: str, nodes: set[str] = NODES) -> dict[str, list[str]]:
    return {node: [outcome] for node in nodes}


def noise(colour: str, seed: int) -> Image.Image:
    """An image of coloured noise, its sides between 20 and 60 pixels."""
    random = np.random.default_rng([seed, *COLOURS[colour]])
    height, width = random.integers(20, 61, 2)
    pixels = random.normal(COLOURS[colour], 40, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A pre-split folder of JPEGs and PNGs, with a broken one, and no way to be always right."""
    folder = tmp_path_factory.mktemp("data") / "images"
    for place, (split, count) in enumerate(SPLITS.items()):
        for colour in COLOURS:
            (folder / split / colour).mkdir(parents=True)
            for number in range(count):
                kind = ("jpg", "png")[number % 2]
                image = noise(colour, seed=number + 100 * place)
                image.save(folder / split / colour / f"{number:02}.{kind}")
    (folder / "train" / "red" / "broken.jpg").write_bytes(b"no image at all")
    # The same image under two names of classes: one of the two is always named wrongly.
    for colour in ("blue", "green"):
        noise("red", seed=1000).save(folder / "test" / colour / "ambiguous.png")
    return folder


@pytest.fixture(scope="module")
def own_model(small_backbone, tmp_path_factory) -> Path:
    """A classifier of other classes, in a file."""
    path = tmp_path_factory.mktemp("own") / "model.keras"
    attach_head(small_backbone(), 4).save(path)
    return path


@pytest.fixture(scope="module")
def first(make_runs, images, own_model):
    """Runs whose first one is done, and that one's outcomes."""
    runs = make_runs("first", CONFIG, f"data.path={images}", f"backbone.model={own_model}")
    return runs, runs()


@pytest.fixture(scope="module")
def pushed(first) -> Path:
    """The model that the first run pushed."""
    runs, _ = first
    return runs.pushed[0]


class TestLocal:
    def test_every_node_is_executed_once(self, first):
        _, outcomes = first
        assert outcomes == all_nodes("done")

    def test_a_broken_image_is_skipped(self, first):
        runs, _ = first
        examples = runs.nodes()["ImageExampleGen"].outputs["examples"]
        properties = examples.custom_properties
        assert json.loads(properties["skipped_files"].string_value) == ["train/red/broken.jpg"]
        assert properties["skipped"].int_value == 1
        transformed = runs.made("Transform", "transformed_examples")
        counts = {split: count_examples(split_patterns(str(transformed), split)) for split in SPLITS}
        assert counts == {"train": 3 * 14, "eval": 3 * 3, "test": 3 * 3 + 2}

    def test_the_pushed_model_is_the_best_of_the_search_retrained(self, first, pushed):
        runs, _ = first
        report = json.loads((runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())
        model = load_keras(pushed)
        found = load_keras(runs.made("PruningSearch", "model") / "Format-Serving")
        reference = load_keras(runs.made("reference", "model") / "Format-Serving")

        assert [layer.name for layer in model.layers] == [layer.name for layer in found.layers]
        assert model.count_params() == report[0]["parameters"] < reference.count_params()
        before, after = (one.get_layer("classifier").get_weights()[0] for one in (found, model))
        assert not np.array_equal(before, after)
        history = json.loads((runs.made("retrain", "model_run") / "history.json").read_text())
        assert len(history["val_accuracy"]) == 2

    def test_the_pushed_model_answers_in_a_process_with_tensorflow_alone(self, images, pushed, tmp_path):
        files = sorted((images / "test").glob("*/0[01].*"))
        assert {file.suffix for file in files} == {".jpg", ".png"}

        answer = subprocess.run(
            [sys.executable, "-c", SERVE, str(pushed), *map(str, files)],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip

        classes, probabilities = json.loads(answer.stdout.splitlines()[-1])
        model, names = load_keras(pushed), read_classes(pushed)
        inputs = tf.stack([decode_image(file.read_bytes(), 32) for file in files])
        expected = model(tf.cast(inputs, tf.float32), training=False).numpy()
        assert sorted(names) == sorted(COLOURS)
        assert classes == [names[number] for number in expected.argmax(axis=-1)]
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)

    def test_the_report_tells_what_was_made(self, first, pushed):
        runs, _ = first
        data = ReportData.read(runs.made("Report", "report"))
        report = json.loads((runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())

        assert data.compressed.parameters == load_keras(pushed).count_params()
        kept = sum(block.parameters for block in data.network if block.state != "cut")
        assert kept == data.compressed.parameters
        assert [trial.connection for trial in data.trials] == [trial["connection"] for trial in report]
        assert sorted(data.translators) == ["block_2_add->block_16_expand", "block_5_add->Conv_1"]
        assert data.data.images["test"] == {"blue": 4, "green": 4, "red": 3}
        assert data.data.skipped_files == ["train/red/broken.jpg"]
        assert data.data.duplicates is not None
        # Of the two ambiguous images each model can name but one.
        assert sum(sum(row.values()) for row in data.predictions.compressed) == 11
        assert data.compressed.accuracy <= 10 / 11
        assert data.verdict == read_verdict(str(runs.made("Evaluator", "evaluation")))
        assert data.pushed_to == str(pushed)
        assert data.predictions.wrong
        assert {one.true for one in data.predictions.wrong} <= set(COLOURS)
        assert data.config["name"] == "noise"
        assert (runs.made("Report", "report") / "report.html").stat().st_size > 1e6

    def test_a_figure_is_the_same_wherever_it_is_told(self, first, pushed):
        """In the report, its charts, the card, and on the screen."""
        runs, _ = first
        data = ReportData.read(runs.made("Report", "report"))
        metrics = read_figures(runs.made("Converter", "model") / "Format-Serving")
        card = json.loads((pushed / "assets.extra" / "model_card.json").read_text())
        verdict = read_verdict(str(runs.made("Evaluator", "evaluation")))

        assert data.compressed.latency == data.formats["float32"].latency == metrics.latency["float32"]
        assert data.reference.latency == metrics.latency["reference"]
        assert card["tflite"]["float32"]["latency"] == vars(metrics.latency["float32"])
        assert data.trials[0].costs["latency"] == metrics.latency["float32"].median
        right = sum(row.get(number, 0) for number, row in enumerate(data.predictions.compressed))
        assert (right, data.compressed.right) == (verdict.overall.right, card["accuracy"]["right"])
        assert right == card["tflite"]["float32"]["accuracy"]["right"]
        assert data.change == verdict.overall.change
        screen = io.StringIO()
        Console(file=screen, width=80).print(render_results(collect(Lineage(runs.output / METADATA_FILE).run())[""]))
        milliseconds, _, _ = phrases.milliseconds(metrics.latency["float32"]).partition(" (")
        for words in (f"{right} of 11", milliseconds):
            assert words in screen.getvalue()
            assert words in (runs.made("Report", "report") / "report.html").read_text()

    def test_tensorboard_finds_the_search_and_the_trainings(self, first):
        runs, _ = first
        folders = {path.parent for path in runs.output.rglob("events.out.tfevents.*")}
        assert {runs.made(node, "model_run") / "validation" for node in ("reference", "retrain")} <= folders
        summaries = runs.made("PruningSearch", "tuner_results") / "tensorboard"
        assert {path.name for path in folders if path.parent == summaries} == {"0", "1", "2"}
        events = EventAccumulator(str(runs.made("retrain", "model_run") / "validation"))
        events.Reload()
        assert [event.step for event in events.Tensors("epoch_accuracy")] == [0, 1]

    def test_the_pushed_model_explains_itself(self, pushed):
        card = json.loads((pushed / "assets.extra" / "model_card.json").read_text())
        assert card["data"]["test"] == {"images": 11, "classes": {"blue": 4, "green": 4, "red": 3}}
        assert card["accuracy"]["images"] == 11
        assert [one["name"] for one in card["accuracy_by_class"]] == card["classes"] == read_classes(pushed)
        assert card["cut"]["connection"] in (pushed / "assets.extra" / "model_card.md").read_text()
        assert not [path for path in pushed.parent.iterdir() if path.name.startswith(".staging")]

    def test_nothing_changed_nothing_done(self, first):
        runs, _ = first
        before = runs.pushed
        assert runs() == all_nodes("cached")
        assert runs.pushed == before

    def test_a_pushed_version_that_was_edited_by_hand_is_pushed_anew(self, first, monkeypatch):
        runs, _ = first
        before = runs.pushed
        (before[-1] / "saved_model.pb").write_bytes(b"edited")

        result = runs.command(monkeypatch)

        assert result.exit_code == 0, result.output
        assert f"{before[-1]} will be made again: saved_model.pb was changed" in result.output
        states = {node: run.state for node, run in runs.nodes().items()}
        # The report tells of the new version.
        assert states == {node: "done" if node in ("Pusher", "Report") else "cached" for node in NODES}
        assert len(runs.pushed) == len(before) + 1
        assert (runs.pushed[-1] / "saved_model.pb").read_bytes() != b"edited"
        assert f"pushed as version {runs.pushed[-1].name} to {runs.pushed[-1]}" in result.output


class TestGate:
    WRONG = ("--set", "gate.min_accuracy=1.0", "--set", "gate.confidence=0.9", "--set", "gate.max_class_drop=1.0")

    def test_not_blessed_is_not_pushed(self, first, monkeypatch):
        runs, _ = first
        before = runs.pushed

        result = runs.command(monkeypatch, *self.WRONG)

        assert result.exit_code == 0, result.output
        assert "not blessed: it failed the gate and was not pushed" in result.output
        assert "the gate requires at least 100 % with 90 % confidence" in (runs.output / "report.html").read_text()
        assert "the gate requires at least 100 % with 90 % confidence" in result.output
        verdict = read_verdict(str(runs.made("Evaluator", "evaluation")))
        assert verdict.overall.images == sum(one.images for one in verdict.classes) == 3 * 3 + 2
        assert verdict.model_sha256 == files_sha256(str(runs.made("Converter", "model") / "Format-Serving"))
        for one in (verdict.overall, *verdict.classes):
            for figure in (one.accuracy, one.baseline, one.change):
                assert figure.low <= figure.value <= figure.high
                assert figure.low < figure.high
        assert (runs.made("Evaluator", "blessing") / "NOT_BLESSED").is_file()
        assert runs.pushed == before

    def test_on_request_it_fails_the_command(self, first, monkeypatch):
        runs, _ = first
        result = runs.command(monkeypatch, *self.WRONG, "--fail-on-gate")
        assert result.exit_code == 3, result.output
        assert runs.nodes()["Pusher"].outputs["pushed_model"].custom_properties["pushed"].int_value == 0


@pytest.mark.usefixtures("without_xla")
def test_other_code_runs_again_and_the_blessed_model_is_its_baseline(first):
    runs, _ = first
    blessed = runs.nodes()["Converter"].outputs["model"]
    before = runs.pushed

    outcomes = runs("gate.baseline=blessed", code_version="second")

    again = {node for node, outcome in outcomes.items() if outcome == ["done"]}
    assert again >= OWN_CODE | {"Evaluator", "Pusher"}
    nodes = runs.nodes()
    assert nodes["Converter"].outputs["model"].id != blessed.id
    assert nodes["Evaluator"].inputs["baseline_model"].id == blessed.id
    assert len(runs.pushed) == len(before) + 1


def test_another_format_trains_nothing_again(first):
    runs, _ = first
    outcomes = runs("export.formats=[float32, int8]")
    again = {node for node, outcome in outcomes.items() if outcome == ["done"]}
    assert again == {"Converter", "Evaluator", "Pusher", "Report"}
    made = runs.made("Converter", "model") / "Format-Serving"
    assert list(tflite_paths(made)) == list(read_figures(made).speedup) == ["float32", "int8"]


@pytest.mark.usefixtures("without_xla")
class TestRecordsOnBeam:
    """The other runner, the other source, and another backbone, together."""

    OVERRIDES = (
        "data.source=tfrecord",
        "data.image_feature=image/bytes",
        "data.label_feature=image/name",
        "backbone={name: MobileNet, input_size: 32, alpha: 0.25, weights: none}",
        "search.connections=['3,73', 'conv_pw_5_relu->head']",
        "search.max_trials=2",
    )
    NODES = NODES - {"ImageExampleGen"} | {"ImportExampleGen"}

    @pytest.fixture(scope="class")
    def records(self, images, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("records")
        with tf.io.TFRecordWriter(str(folder / "images.tfrecord")) as writer:
            for file in sorted(images.glob("*/*/[0-9]*")):
                content = {"bytes": file.read_bytes(), "name": file.parent.name.encode()}
                feature = {
                    f"image/{name}": tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for name, value in content.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
        return folder

    @pytest.fixture(scope="class")
    def on_beam(self, make_runs, records):
        runs = make_runs("beam", CONFIG, f"data.path={records}", *self.OVERRIDES)
        return runs, runs(runner="beam")

    def test_every_node_is_executed_once_then_cached(self, on_beam):
        runs, outcomes = on_beam
        assert outcomes == all_nodes("done", self.NODES)
        assert runs(runner="beam") == all_nodes("cached", self.NODES)

    def test_a_model_that_knows_the_classes_is_pushed(self, on_beam):
        runs, _ = on_beam
        (pushed,) = runs.pushed
        assert sorted(read_classes(pushed)) == sorted(COLOURS)
