"""A whole run whose search chooses the backbone and the size of the images, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.report.data import ReportData
from compressor_lib.deployment.export import load_keras
from compressor_lib.deployment.predict import load_classifier
from compressor_lib.networks.heads import attach_head
from pipelines.results.node_results import result_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

# With tau 0, the network with the fewest MACs wins: the one on the smallest images.
CONFIG = """
name: sizes
data: {source: folder, splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.0}
reference: {head_epochs: 0, epochs: 1, batch_norm: train}
search:
  tuner: random
  max_trials: 5
  max_epochs: 1
  tau: 0.0
  objective: {cost: macs}
  input_sizes: [48, 40]
  backbones: [{name: MobileNetV2, alpha: 0.35, weights: none}]
  connections: ["block_2_add->head", "block_5_add->head"]
retrain: {head_epochs: 0, epochs: 1, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0}
"""
OWN_SIZE = 32


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for label, pixel in {"blue": (40, 60, 220), "red": (220, 50, 40)}.items():
        (folder / label).mkdir()
        for number in range(15):
            noise = random.normal(pixel, 40, (50, 60, 3)).clip(0, 255)
            Image.fromarray(noise.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def runs(make_runs, images, small_backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.keras"
    attach_head(small_backbone(), 2).save(path)
    made = make_runs("sizes", CONFIG, f"data.path={images}", f"backbone.model={path}")
    assert {outcome for outcomes in made().values() for outcome in outcomes} == {"done"}
    return made


def test_the_winner_is_served_at_its_own_size(runs, images):
    report = json.loads((runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())
    assert {row["input_size"] for row in report} == {40, 48}
    assert {row["backbone"] for row in report} == {"own.keras", "MobileNetV2 0.35"}
    winner = report[0]
    assert winner["input_size"] == 40
    (pushed,) = runs.pushed
    model = load_keras(pushed)
    assert model.input_shape == (None, 40, 40, 3)
    assert model.count_params() == winner["parameters"]
    assert load_keras(runs.made("reference", "model") / "Format-Serving").input_shape[1] == OWN_SIZE
    assert set(load_classifier(pushed).predict(next(images.rglob("*.png")))) == {"blue", "red"}


def test_the_results_name_the_winners_backbone_and_size(runs):
    winner = json.loads((runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())[0]
    data = ReportData.read(runs.made("Report", "report"))
    assert {trial.input_size for trial in data.trials} == {40, 48}
    assert all(trial.costs["macs"] > 0 for trial in data.trials)
    kept = sum(block.parameters for block in data.network if block.state != "cut")
    assert kept == data.compressed.parameters
    page = (runs.made("Report", "report") / "report.html").read_text()
    assert "Best of each backbone and image size" in page
    assert f"{winner['backbone']}, 40 px" in page
    (pushed,) = runs.pushed
    card = json.loads((pushed / "assets.extra" / "model_card.json").read_text())
    assert (card["cut"]["backbone"], card["input_size"]) == (winner["backbone"], 40)
    result = result_of(runs.nodes()["PruningSearch"].outputs)
    assert result.endswith(f": {winner['connection']} of {winner['backbone']}, 40 px")
