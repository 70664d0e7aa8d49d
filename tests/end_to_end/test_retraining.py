"""Retraining span by span: what is new is trained on, and only what is no worse is pushed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor_lib.networks.heads import attach_head

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

CONFIG = """
name: weekly
data: {source: folder, span_pattern: "span-{SPAN}", splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.0}
reference: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
search: {tuner: random, max_trials: 1, max_epochs: 8, connections: ["block_5_add->head"]}
retrain: {head_epochs: 0, epochs: 15, learning_rate: 3.0e-3, batch_norm: train}
gate: {baseline: deployed, min_accuracy: 0.8, max_drop: 0.3}
"""
COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (220, 50, 40)}
IMAGES = 20


def add_span(folder: Path, number: int, *, labels_are_right: bool = True) -> None:
    """Plain images of three colours, with some noise; wrong labels are a third of each colour."""
    random = np.random.default_rng(number)
    names = list(COLOURS)
    for colour, pixel in COLOURS.items():
        for image in range(IMAGES):
            label = colour if labels_are_right else names[image % 3]
            path = folder / f"span-{number}" / label / f"{colour}-{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = random.normal(pixel, 40, (40, 40, 3)).clip(0, 255)
            Image.fromarray(noise.astype(np.uint8)).save(path)


def test_each_tick_pushes_what_is_new_and_no_worse(make_runs, small_backbone, tmp_path, monkeypatch):
    def found() -> dict:
        """The hyperparameters of the newest run's one trial."""
        (trial,) = json.loads((runs.made("PruningSearch", "tuner_results") / "search_report.json").read_text())
        return trial["hyperparameters"]

    attach_head(small_backbone(), 4).save(tmp_path / "model.keras")
    images = tmp_path / "images"
    runs = make_runs("weekly", CONFIG, f"data.path={images}", f"backbone.model={tmp_path}/model.keras")

    add_span(images, 1)
    first = runs.command(monkeypatch)
    assert first.exit_code == 0, first.output
    assert len(runs.pushed) == 1
    known = found()

    idle = runs.command(monkeypatch)
    assert idle.exit_code == 0
    assert "nothing has changed since the last run" in idle.output
    assert len(runs.pushed) == 1

    add_span(images, 2)
    second = runs.command(monkeypatch, "--set", "seed=1")  # which would try another learning rate
    assert "nothing has changed" not in second.output
    assert len(runs.pushed) == 2
    compared = runs.nodes()["DeployedModel"].outputs["model"]
    assert compared.custom_properties["deployed_version"].string_value == runs.pushed[0].name
    assert found() == known
    statistics = runs.nodes()["PreviousRun"].outputs["statistics"]
    assert statistics.properties["span"].int_value == 1

    add_span(images, 3, labels_are_right=False)
    third = runs.command(monkeypatch)
    assert third.exit_code == 0
    assert "not blessed" in third.output
    assert len(runs.pushed) == 2
