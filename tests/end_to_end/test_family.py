"""A whole run that makes a family: one model for each of two budgets, from one search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from components.report.data import read_reports
from compressor_lib.deployment.export import load_keras
from compressor_lib.networks.heads import attach_head
from pipelines.cli import main as cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_xla")]

BUDGETS = {"tiny": 2_500, "wide-one": 10**7}  # the cut at block_5_add exceeds the first
CONFIG = """
name: family
data: {source: folder, splits: {train: 3, eval: 1, test: 1}}
head: {dropout: 0.0}
reference: {head_epochs: 0, epochs: 1, batch_norm: train}
search:
  tuner: random
  max_trials: 6
  max_epochs: 1
  tau: 1.0
  budgets: {tiny: {parameters: 2500}, wide-one: {parameters: 10000000}}
  connections: ["block_2_add->head", "block_5_add->head"]
  finalists: 2
  finalist_epochs: 1
retrain: {head_epochs: 0, epochs: 1, batch_norm: train}
gate: {min_accuracy: 0.0, max_drop: 1.0, baseline: deployed}
"""
OF_MEMBERS = ["retrain", "Converter", "DeployedModel", "Evaluator", "Pusher"]


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
    made = make_runs("family", CONFIG, f"data.path={images}", f"backbone.model={path}")
    with pytest.MonkeyPatch.context() as patches:
        made.result = made.command(patches)
    assert made.result.exit_code == 0, made.result.output
    return made


def asked(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_member_has_its_own_nodes_and_the_rest_runs_once(runs):
    nodes = list(runs.nodes())
    for node in OF_MEMBERS:
        assert [name for name in nodes if name.startswith(node)] == [f"{node}-{member}" for member in BUDGETS]
    for node in ("PruningSearch", "Report", "Handover", "Transform", "reference"):
        assert nodes.count(node) == 1


def test_every_member_is_pushed_to_a_folder_of_its_own_within_its_budget(runs):
    assert runs.pushed == []
    searches = runs.made("PruningSearch", "tuner_results")
    for member, limit in BUDGETS.items():
        (pushed,) = (runs.output / "serving" / member).glob("[0-9]*")
        card = json.loads((pushed / "assets.extra" / "model_card.json").read_text())
        winner = json.loads((searches / member / "search_report.json").read_text())[0]
        assert card["name"] == f"family-{member}"
        assert card["parameters"] == load_keras(pushed).count_params() == winner["parameters"] <= limit
        assert card["cut"]["connection"] == winner["connection"]


def test_the_report_covers_all_members(runs):
    folder = runs.made("Report", "report")
    reports = read_reports(folder)
    assert list(reports) == list(BUDGETS)
    for member, data in reports.items():
        assert data.compressed.parameters <= BUDGETS[member]
        assert data.pushed_to.startswith(str(runs.output / "serving" / member))
    page = (runs.output / "report.html").read_text()
    assert "A family of 2 models from one search" in page
    assert "<h3>Nodes</h3>" in page


def test_the_commands_know_the_members(runs, images):
    assert "model tiny" in runs.result.output
    assert "model wide-one" in runs.result.output
    (row,) = json.loads(asked("runs", str(runs.output), "--json"))
    assert row["blessed"]
    assert row["verdict"] == "tiny: blessed, pushed; wide-one: blessed, pushed"
    assert row["models"]["tiny"]["parameters"]["compressed"] <= BUDGETS["tiny"]
    table = asked("runs", str(runs.output))
    assert "tiny" in table
    assert "wide-one" in table
    shown = asked("show", "latest", "--in", str(runs.output), "--model", "tiny")
    nodes = [line.split()[0] for line in shown.splitlines() if line]
    assert "retrain-tiny" in nodes
    assert "retrain-wide-one" not in nodes
    serving, image = str(runs.output / "serving"), str(next(images.rglob("*.png")))
    assert image in asked("predict", serving, image, "--model", "tiny")
    refused = CliRunner().invoke(cli.app, ["predict", serving, image])
    assert refused.exit_code == 2
    assert "has the models of a family, tiny, wide-one" in refused.output
    refused = CliRunner().invoke(cli.app, ["rollback", serving])
    assert "choose one with --model" in refused.output


def test_the_next_run_starts_from_this_one_and_is_cached_on_the_same_data(runs):
    assert {outcome for outcomes in runs().values() for outcome in outcomes} == {"cached"}
    assert {path.name for path in (runs.output / "serving").iterdir()} >= set(BUDGETS)
