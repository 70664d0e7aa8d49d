from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from compressor_lib.deployment.export import export_classifier
from pipelines.cli import main as cli


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A push directory with one model, and a folder with images."""
    folder = tmp_path_factory.mktemp("place")
    images = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 16)(images))
    export_classifier(
        keras.Model(images, keras.layers.Softmax()(x)), ["red", "green", "blue"], folder / "serving" / "7"
    )
    colours = {"a/red.png": "red", "a/b/blue.jpg": "blue", "a/b/green.webp": "lime", ".hidden/x.png": "red"}
    for path, colour in colours.items():
        (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), colour).save(folder / "images" / path)
    (folder / "images" / "notes.txt").write_text("no image")
    (folder / "images" / "a" / "LICENSE").write_text("no image")
    Image.new("RGB", (9, 9), "lime").save(folder / "images" / "a" / "without", "PNG")
    return folder


def command(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_images_in_a_folder_are_told_of_one_a_line(place):
    result = command("predict", place / "serving", place / "images")
    assert result.exit_code == 0, result.output
    folder = place / "images" / "a"
    assert result.output.splitlines() == [
        f"{folder}/{told}  100.0 %"
        for told in ("b/blue.jpg  blue", "b/green.webp  green", "red.png  red", "without  green")
    ]


def test_answers_for_programs(place):
    result = command("predict", place / "serving" / "7", place / "images" / "a" / "red.png", "--json")
    (line,) = map(json.loads, result.output.splitlines())
    assert (line["image"], line["class"]) == (str(place / "images/a/red.png"), "red")
    assert line["probability"] == line["probabilities"]["red"] > 0.99
    assert len(line["probabilities"]) == 3


def test_broken_images_do_not_stop_the_others_and_fail_at_the_end(place, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    good = place / "images" / "a" / "red.png"
    result = command("predict", place / "serving", tmp_path / "broken.jpg", tmp_path / "missing.jpg", good)
    assert result.exit_code == 2
    assert f"error: image '{tmp_path}/broken.jpg' cannot be decoded" in result.output
    assert f"error: image '{tmp_path}/missing.jpg' does not exist." in result.output
    assert f"{good}  red" in result.output


def test_a_folder_without_images_is_told(place, tmp_path):
    result = command("predict", place / "serving", tmp_path)
    assert result.exit_code == 2
    assert "holds no images" in result.output


def test_rolling_back(place, tmp_path):
    for version in ("7", "8"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").write_text("a model")
    result = command("rollback", tmp_path)
    assert (result.exit_code, result.output) == (0, "version 8 is withdrawn; version 7 is served again\n")
    result = command("rollback", tmp_path)
    assert result.exit_code == 2
    assert "version 7 is the only one" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predict", "nowhere", "cat.jpg"], "model 'nowhere' does not exist"),
        (["predict", "empty", "cat.jpg"], "folder 'empty' holds no SavedModel"),
        (["predict", "alone.tflite", "cat.jpg"], "'classes.txt', which names the classes of alone.tflite, is missing"),
        (["predict", "serving", "cat.jpg", "dog.jpg"], "image 'dog.jpg' does not exist"),
        (["predict", "serving", "empty"], "folder 'empty' holds no images"),
        (["rollback", "nowhere"], "there is no model in 'nowhere'"),
        (["rollback", "empty"], "there is no model in 'empty'"),
        (["rollback", "serving"], "version 7 is the only one in 'serving'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_paths_are_reported_before_tensorflow_is_loaded(tmp_path, arguments, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "alone.tflite").touch()
    (tmp_path / "serving" / "7").mkdir(parents=True)
    (tmp_path / "serving" / "7" / "saved_model.pb").touch()
    script = (
        "import sys\n"
        "from pipelines.cli.main import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    heavy = {'tensorflow', 'keras', 'apache_beam', 'tfx.types', 'tfx.dsl.io.fileio'} & set(sys.modules)\n"
        "    print('status', end.code, sorted(heavy))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told in done.stderr
    assert done.stdout == "status 2 []\n"
