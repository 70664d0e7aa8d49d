"""Span by span: a class keeps its index, and baselines are compared by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from components.artifacts.verdict import read_verdict
from components.report.data import ReportData
from compressor_lib.deployment.export import read_classes
from compressor_lib.deployment.predict import load_classifier
from compressor_lib.networks.heads import attach_head

if TYPE_CHECKING:
    from conftest import Runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

CONFIG = """
name: hands
data: {source: folder, span_pattern: "span-{SPAN}", splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.0}
reference: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
search: {tuner: random, max_trials: 1, max_epochs: 8, connections: ["block_5_add->head"]}
retrain: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
warm_start: false
gate: {baseline: deployed, min_accuracy: 0.0, max_drop: 0.3}
"""
BADLY = [
    part
    for override in (
        "reference.epochs=1", "reference.learning_rate=1e-6", "search.max_epochs=1", "search.min_learning_rate=1e-6",
        "search.max_learning_rate=2e-6", "retrain.epochs=1", "retrain.learning_rate=1e-6",
    )
    for part in ("--set", override)
]  # fmt: skip
COLOURS = {
    "fist": (40, 60, 220), "finger": (220, 50, 40), "aardvark": (50, 200, 60),
    "palm": (225, 215, 40), "thumb": (30, 30, 30), "wave": (225, 225, 225),
}  # fmt: skip
OTHERS = {"palm": 30, "thumb": 30, "wave": 30}
"""Two classes alone may be told apart by an untrained model, by chance."""


def add_span(folder: Path, number: int, counts: Mapping[str, int]) -> None:
    """Plain images of a class's colour, with some noise."""
    random = np.random.default_rng(number)
    for name, count in counts.items():
        for image in range(count):
            path = folder / f"span-{number}" / name / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = random.normal(COLOURS[name], 25, (40, 40, 3)).clip(0, 255)
            Image.fromarray(noise.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def make_hands(make_runs, small_backbone, tmp_path_factory) -> Callable[[], tuple[Runs, Path]]:
    """Makes runs, and the folder of the spans that they are to read."""
    model = tmp_path_factory.mktemp("model") / "model.keras"
    attach_head(small_backbone(), 4).save(model)

    def make() -> tuple[Runs, Path]:
        images = tmp_path_factory.mktemp("hands") / "images"
        return make_runs("hands", CONFIG, f"data.path={images}", f"backbone.model={model}"), images

    return make


@pytest.fixture(scope="module")
def two_weeks(make_hands) -> Runs:
    """Runs of which one has pushed a good model of the first span; the second span is there, of other counts."""
    hands, images = make_hands()
    add_span(images, 1, {"fist": 70, "finger": 60, **OTHERS})
    with pytest.MonkeyPatch.context() as patches:
        first = hands.command(patches)
    assert first.exit_code == 0, first.output
    assert len(hands.pushed) == 1
    add_span(images, 2, {"fist": 55, "finger": 65, **OTHERS})
    return hands


def judged_classes(hands: Runs) -> list[str]:
    """The classes of the model that the gate judged last."""
    return read_classes(Path(hands.nodes()["Evaluator"].inputs["model"].uri) / "Format-Serving")


@pytest.mark.parametrize("baseline", ["deployed", "blessed"])
def test_a_bad_model_is_refused_when_class_counts_change(two_weeks, monkeypatch, baseline):
    hands, names = two_weeks, ["finger", "fist", *OTHERS]
    (pushed,) = hands.pushed
    assert read_classes(pushed) == names

    second = hands.command(monkeypatch, "--set", f"gate.baseline={baseline}", "--set", "gate.max_drop=0.01", *BADLY)
    assert second.exit_code == 0, second.output
    assert hands.nodes()["Evaluator"].state == "done"
    assert hands.pushed == [pushed]
    verdict = read_verdict(str(hands.made("Evaluator", "evaluation")))
    assert not verdict.blessed
    assert verdict.overall.baseline.value > 0.9  # the first model, measured by its own names
    assert verdict.overall.accuracy.value < 0.8
    assert judged_classes(hands) == names


def test_new_classes_are_appended_and_missing_ones_keep_their_index_until_removed(make_hands, monkeypatch):
    hands, images = make_hands()
    add_span(images, 1, {"fist": 70, "finger": 60})
    assert hands.command(monkeypatch).exit_code == 0
    add_span(images, 2, {"aardvark": 80, "fist": 60})  # "finger" is gone
    second = hands.command(monkeypatch, "--set", "data.class_weights=balanced")
    assert second.exit_code == 0, second.output
    words = """--set 'data.removed_classes=["finger"]'"""
    told = " ".join(second.output.split())
    assert "class 'finger' of the pushed model has no images: it keeps its output" in told
    assert f"To remove it: {words}" in told
    assert len(hands.pushed) == 2, second.output
    names = ["finger", "fist", "aardvark"]
    assert read_classes(hands.pushed[-1]) == names
    classifier = load_classifier(hands.pushed[-1])
    assert classifier.classes == names
    for name in ("fist", "aardvark"):
        assert next(iter(classifier.predict(images / "span-2" / name / "0.png"))) == name

    report = ReportData.read(hands.made("Report", "report"))
    assert report.predictions.classes == names
    assert report.predictions.compressed[0] == {}  # there is no image of "finger"
    assert report.predictions.compressed[2].get(2, 0) > 0.9 * sum(report.predictions.compressed[2].values())

    add_span(images, 3, {"aardvark": 60, "fist": 70})
    refused = hands.command(monkeypatch, "--set", "data.removed_classes=[fist]")
    assert refused.exit_code != 0
    assert "data.removed_classes names 'fist', which still has 70 images" in " ".join(refused.output.split())
    third = hands.command(monkeypatch, "--set", "data.removed_classes=[finger]")
    assert third.exit_code == 0, third.output
    assert len(hands.pushed) == 3, third.output
    assert read_classes(hands.pushed[-1]) == ["fist", "aardvark"]
