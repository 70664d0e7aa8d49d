from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from components.artifacts.class_list import write_class_list
from pipelines.cli import main as cli

CONFIG = """
name: tiny
output: {folder}/out
data: {{source: folder, path: {folder}/elsewhere}}
backbone: {{name: MobileNetV2, input_size: 32, alpha: 0.35, weights: none}}
search: {{tuner: random, max_trials: 7, connections: truncation}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "elsewhere").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "images" / name / f"{number}.jpg").touch()
    return tmp_path


def validate(folder, *arguments):
    return CliRunner().invoke(cli.app, ["validate", "--config", str(folder / "config.yaml"), *map(str, arguments)])


def test_a_summary_of_what_a_run_would_do(folder):
    result = validate(folder, "--data", folder / "images")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == f"{folder}/config.yaml is valid."
    assert lines[1] == "images train eval test"
    assert lines[3:6] == ["cat 8 1 1", "dog 8 1 1", "2 classes 16 2 2"]
    assert lines[6].startswith("reference 412,770 parameters, ")
    assert lines[7] == "image size reference model 32 px, search 32 px"
    assert lines[8] == "weights random"
    assert lines[9].startswith("trials 7 at most, by random, of ")
    assert not (folder / "out").exists()


def test_a_summary_for_programs(folder):
    result = validate(folder, "--data", folder / "images", "--set", "search.max_trials=9", "--json")
    summary = json.loads(result.stdout)
    counts = {"train": {"cat": 8, "dog": 8}, "eval": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
    assert (summary["valid"], summary["trials"], summary["images"]) == (True, 9, counts)
    assert (summary["reference"]["parameters"], summary["reference"]["input_size"]) == (412_770, 32)
    assert summary["input_sizes"] == [32]
    assert summary["classes"] == ["cat", "dog"]
    assert set(summary) == {
        "config", "valid", "images", "left_out", "classes", "reference", "input_sizes", "weights", "connections",
        "networks", "passes", "backbones_left_out", "trials", "models",
    }  # fmt: skip
    assert (summary["networks"], summary["passes"], summary["backbones_left_out"]) == (1, 1.0, {})
    assert summary["models"] == []


def test_the_models_of_a_family_are_listed(folder):
    budgets = "search.budgets={tiny: {parameters: 300_000}, small: {memory_kb: 400}}"
    arguments = ["--data", folder / "images", "--set", budgets]
    assert json.loads(validate(folder, *arguments, "--json").stdout)["models"] == ["tiny", "small"]
    assert "models tiny, small, one for each budget" in " ".join(validate(folder, *arguments).output.split())


def test_the_networks_of_a_search_are_summed_up(folder):
    further = "search.backbones=[{name: MobileNetV2, alpha: 0.5, weights: none}]"
    arguments = ["--data", folder / "images", "--set", "search.input_sizes=[32, 64]", "--set", further]
    words = " ".join(validate(folder, *arguments).output.split())
    assert re.search(r" networks 4 \(backbones at image sizes\), \d+\.\d passes of the reference model in all ", words)


@pytest.mark.slow
def test_image_sizes_of_the_search_are_shown(folder):
    arguments = ["--data", folder / "images", "--set", "search.input_sizes=[48, 40]"]
    assert "image size   reference model 32 px, search 48, 40 px" in validate(folder, *arguments).output.splitlines()
    assert json.loads(validate(folder, *arguments, "--json").stdout)["input_sizes"] == [48, 40]


def test_classes_of_the_pushed_model_count(folder):
    write_class_list(str(folder / "out" / "serving" / "7" / "assets.extra"), ["fist", "dog", "ant"])
    (folder / "out" / "serving" / "7" / "saved_model.pb").touch()
    arguments = ["--data", folder / "images", "--set", "data.removed_classes=[ant]"]
    summary = json.loads(validate(folder, *arguments, "--json").stdout)
    assert summary["classes"] == ["fist", "dog", "cat"]
    assert summary["reference"]["parameters"] == 412_770 + 1281
    told = "classes      3, including those of the pushed model without images (fist); to remove them: "
    assert told + """--set 'data.removed_classes=["ant", "fist"]'""" in validate(folder, *arguments).output.splitlines()


def test_a_push_directory_in_a_store_is_told_to_be_left_to_the_run(folder):
    arguments = ["--data", folder / "images", "--set", "push.directory=s3://nowhere/serving"]
    told = "classes      of pushed models are not included: push.directory is not on this machine"
    assert told in validate(folder, *arguments).output.splitlines()
    assert json.loads(validate(folder, *arguments, "--json").stdout)["classes"] is None


def test_images_that_are_left_out_are_counted(folder):
    for name in ("cat/a.heic", "dog/b.heic", "dog/c.svg"):
        (folder / "images" / name).touch()
    arguments = ["--data", folder / "images", "--set", "data.max_bad_share=0.2"]
    assert "skipped      3 images (2 .heic, 1 .svg)" in validate(folder, *arguments).output.splitlines()
    assert json.loads(validate(folder, *arguments, "--json").stdout)["left_out"] == {".heic": 2, ".svg": 1}
    refused = validate(folder, "--data", folder / "images", "--set", "data.max_bad_share=0.1")
    assert (refused.exit_code, "3 of 23 images" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "has no class folders"),
        (["--data", "nowhere"], "which is not a folder"),
        (["--data", "images", "--output", "config.yaml/out"], "cannot be written to"),
        (["--data", "images", "--set", "data.span_pattern=span-{SPAN}"], "cannot find the newest span"),
        (["--data", "images", "--set", "backbone.weights=config.yaml"], "does not belong to MobileNetV2"),
    ],
)
def test_what_a_run_would_refuse_ends_with_a_status_and_nothing_on_stdout(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    result = validate(folder, *arguments, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
