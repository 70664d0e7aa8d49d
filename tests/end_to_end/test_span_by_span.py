"""Runs span by span: what is new is trained on, a class keeps its index, and only what is no worse is pushed.

Each part goes on where the one before it ended, because a run takes minutes. Data and output lie in folders that other
software takes for patterns.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from components.artifacts.verdict import read_verdict
from components.report.data import ReportData
from compressor_lib.deployment.export import read_classes
from compressor_lib.deployment.predict import load_classifier
from compressor_lib.networks.heads import attach_head
from pipelines.cli.main import app

if TYPE_CHECKING:
    from conftest import Runs
    from typer.testing import Result

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

CONFIG = """
name: hands
data: {source: folder, span_pattern: "span-{SPAN}", splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.0}
reference: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
search: {tuner: random, max_trials: 1, max_epochs: 8, connections: ["block_5_add->head"]}
retrain: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
gate: {baseline: deployed, min_accuracy: 0.0, max_drop: 0.3}
"""
BADLY = (
    "reference.epochs=1", "reference.learning_rate=1e-6", "search.max_epochs=1", "search.min_learning_rate=1e-6",
    "search.max_learning_rate=2e-6", "retrain.epochs=1", "retrain.learning_rate=1e-6", "warm_start=false",
)  # fmt: skip
COLOURS = {
    "fist": (40, 60, 220), "finger": (220, 50, 40), "aardvark": (50, 200, 60),
    "palm": (225, 215, 40), "thumb": (30, 30, 30), "café": (225, 225, 225),
}  # fmt: skip
OTHERS = {"palm": 30, "thumb": 30, "café": 30}
"""Two classes alone may be told apart by an untrained model, by chance."""
FIRST = ["café", "finger", "fist", "palm", "thumb"]
SECOND = [*FIRST, "aardvark"]
"""The classes of the first model and of the second, which has a new one."""


class Hands(NamedTuple):
    """Runs, the folder of the spans that they read, and the last run's output."""

    runs: Runs
    images: Path
    output: str

    def add_span(self, number: int, counts: Mapping[str, int]) -> None:
        """Plain images of a class's colour, with some noise; folders write an accent in either of Unicode's ways."""
        random = np.random.default_rng(number)
        for name, count in counts.items():
            for image in range(count):
                folder = unicodedata.normalize("NFD", name) if image % 2 else name
                path = self.images / f"span-{number}" / folder / f"{image}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = random.normal(COLOURS[name], 25, (40, 40, 3)).clip(0, 255)
                Image.fromarray(noise.astype(np.uint8)).save(path)

    def run(self, *overrides: str) -> Result:
        """Runs the pipeline by the command line."""
        with pytest.MonkeyPatch.context() as patches:
            return self.runs.command(patches, *(part for override in overrides for part in ("--set", override)))

    def ran(self, *overrides: str) -> Hands:
        """The same after a run that has succeeded."""
        result = self.run(*overrides)
        assert result.exit_code == 0, result.output
        return self._replace(output=" ".join(result.output.split()))

    @property
    def pushed_classes(self) -> list[list[str]]:
        """The classes of each model that was pushed, the newest last."""
        return [read_classes(pushed) for pushed in self.runs.pushed]

    @property
    def tried(self) -> dict:
        """The hyperparameters of the newest run's one trial."""
        (trial,) = json.loads((self.runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())
        return trial["hyperparameters"]


@pytest.fixture(scope="module")
def first(make_runs, small_backbone, tmp_path_factory) -> Hands:
    """A good model of the first span is pushed."""
    folder = tmp_path_factory.mktemp("hands")
    attach_head(small_backbone(), 4).save(folder / "model.keras")
    images = folder / "images [v2]?*"
    runs = make_runs("hands", CONFIG, f"data.path={images}", f"backbone.model={folder}/model.keras")
    runs = dataclasses.replace(runs, output=folder / "runs [1] {x}" / "out? *")
    hands = Hands(runs, images, "")
    hands.add_span(1, {"fist": 70, "finger": 60, **OTHERS})
    hands = hands.ran()
    assert hands.pushed_classes == [FIRST]
    return hands


def test_its_outputs_are_where_the_configuration_says(first):
    output = first.runs.output
    assert (output / "report.html").is_file()
    assert list((output / "pipeline_root" / "Pusher").iterdir())
    image = first.images / "span-1" / "fist" / "0.png"
    predicted = CliRunner().invoke(app, ["predict", str(output / "serving"), str(image), "--json"])
    assert set(json.loads(predicted.stdout.splitlines()[-1])["probabilities"]) == set(FIRST)


def test_a_run_without_news_does_nothing(first):
    for name in (".DS_Store", "notes.txt"):  # which are no data
        (first.images / "span-1" / "fist" / name).touch()
    assert "nothing has changed since the last run" in first.ran().output
    assert len(first.runs.pushed) == 1


@pytest.fixture(scope="module")
def second(first) -> Hands:
    """A class is gone, and another is new."""
    known = first.tried
    first.add_span(2, {"aardvark": 80, "fist": 60, **OTHERS})
    hands = first.ran("data.class_weights=balanced", "seed=1")  # a seed that would try another learning rate
    assert "nothing has changed" not in hands.output
    assert hands.tried == known
    return hands


def test_the_second_model_starts_from_the_first_and_is_compared_with_it(second):
    compared = second.runs.nodes()["DeployedModel"].outputs["model"]
    assert compared.custom_properties["deployed_version"].string_value == second.runs.pushed[0].name
    statistics = second.runs.nodes()["PreviousRun"].outputs["statistics"]
    assert statistics.properties["span"].int_value == 1


def test_new_classes_are_appended_and_missing_ones_keep_their_index(second):
    words = """--set 'data.removed_classes=["finger"]'"""
    assert "class 'finger' of the pushed model has no images: it keeps its output" in second.output
    assert f"To remove it: {words}" in second.output
    assert second.pushed_classes == [FIRST, SECOND]
    classifier = load_classifier(second.runs.pushed[-1])
    assert classifier.classes == SECOND
    for name in ("fist", "aardvark"):
        assert next(iter(classifier.predict(second.images / "span-2" / name / "0.png"))) == name

    predictions = ReportData.read(second.runs.made("Report", "report")).predictions
    assert predictions.classes == SECOND
    assert predictions.compressed[SECOND.index("finger")] == {}  # there is no image of it
    of_new = predictions.compressed[SECOND.index("aardvark")]
    assert of_new.get(SECOND.index("aardvark"), 0) > 0.9 * sum(of_new.values())


@pytest.fixture(scope="module")
def third(second) -> Hands:
    """The second span's classes come in other numbers; nothing has run on them."""
    second.add_span(3, {"aardvark": 50, "fist": 65, **OTHERS})
    return second


@pytest.mark.parametrize("baseline", ["deployed", "blessed"])
def test_a_bad_model_is_refused_when_class_counts_change(third, baseline):
    hands = third.ran(f"gate.baseline={baseline}", "gate.max_drop=0.01", *BADLY)
    assert "not blessed" in hands.output
    assert hands.runs.nodes()["Evaluator"].state == "done"
    assert hands.pushed_classes == [FIRST, SECOND]
    verdict = read_verdict(str(hands.runs.made("Evaluator", "evaluation")))
    assert not verdict.blessed
    assert verdict.overall.baseline.value > 0.9  # the second model, measured by its own names
    assert verdict.overall.accuracy.value < 0.8
    assert read_classes(Path(hands.runs.nodes()["Evaluator"].inputs["model"].uri) / "Format-Serving") == SECOND


def test_a_removed_class_is_gone_and_one_with_images_cannot_be_removed(third):
    third.add_span(4, {"aardvark": 60, "fist": 70, **OTHERS})
    refused = third.run("data.removed_classes=[fist]")
    assert refused.exit_code != 0
    assert "data.removed_classes names 'fist', which still has 70 images" in " ".join(refused.output.split())
    removed = third.ran("data.removed_classes=[finger]", "warm_start=false")
    assert removed.pushed_classes[2:] == [[name for name in SECOND if name != "finger"]]
