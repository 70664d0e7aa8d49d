"""A whole run whose data and output lie in folders that other software takes for patterns."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from compressor_lib.deployment.export import read_classes
from compressor_lib.networks.heads import attach_head
from pipelines.cli.main import app
from pipelines.results.lineage import Lineage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

CONFIG = """
name: odd
data: {source: folder, splits: {train: 3, eval: 1, test: 1}}
reference: {head_epochs: 0, epochs: 1, batch_norm: train}
search: {tuner: random, max_trials: 2, max_epochs: 1, connections: ["block_5_add->head"]}
retrain: {head_epochs: 0, epochs: 1, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0, baseline: deployed}
"""
COLOURS = {"blue": (40, 60, 220), "café": (50, 200, 60)}


def save(folder: Path, colour: str, number: int) -> None:
    random = np.random.default_rng([number, *COLOURS[colour]])
    pixels = random.normal(COLOURS[colour], 40, (24, 24, 3)).clip(0, 255).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{number}.png")


def test_paths_are_literal_from_the_data_to_the_pushed_model(make_runs, small_backbone, tmp_path, monkeypatch):
    model = tmp_path / "own.keras"
    attach_head(small_backbone(), 4).save(model)
    data = tmp_path / "pics [v2]?*"
    for number in range(15):
        save(data / "blue", "blue", number)
        save(data / ("café" if number % 2 else "cafe\u0301"), "café", number)
    runs = make_runs("odd", CONFIG, f"data.path={data}", f"backbone.model={model}")
    runs = dataclasses.replace(runs, output=tmp_path / "runs [1] {x}" / "out? *")

    first = runs.command(monkeypatch)

    assert first.exit_code == 0, first.output[-3000:]
    (pushed,) = runs.pushed
    assert read_classes(pushed) == ["blue", "café"]
    assert (runs.output / "report.html").is_file()
    assert list((runs.output / "pipeline_root" / "Pusher").iterdir())

    (data / "blue" / ".DS_Store").touch()
    (data / "blue" / "notes.txt").touch()
    second = runs.command(monkeypatch)
    assert "nothing has changed since the last run" in second.output
    assert len(runs.pushed) == 1

    save(data / "blue", "blue", 100)
    third = runs.command(monkeypatch)
    assert third.exit_code == 0, third.output
    assert len(runs.pushed) == 2
    assert {node.state for node in Lineage(runs.output / "metadata.sqlite").run().nodes.values()} <= {"done", "cached"}

    predicted = CliRunner().invoke(
        app, ["predict", str(runs.output / "serving"), str(data / "blue" / "1.png"), "--json"]
    )
    assert set(json.loads(predicted.stdout.splitlines()[-1])["probabilities"]) == {"blue", "café"}
