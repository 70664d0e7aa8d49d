"""Every command in the documentation is one that exists: run where that is quick, else parsed and looked into.

``WAYS`` says for each command by its first words which of the two; a command that it does not know fails.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import subprocess
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from pages import PAGES, ROOT, blocks
from typer.main import get_command
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.config.config import load_config


def commands() -> list[str]:
    """Every command of the pages, and of the comments in the examples, once."""
    found: dict[str, None] = {}
    for block in blocks("console", "bash"):
        text = block.text.replace("\\\n", " ")
        lines = text.splitlines()
        if block.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found |= dict.fromkeys(line for line in lines if line.strip())
    for example in sorted((ROOT / "examples").glob("*.yaml")):
        found |= dict.fromkeys(re.findall(r"^# +(compressor .*)$", example.read_text(), re.MULTILINE))
    single = (part.strip().removesuffix("&") for line in found for part in line.split("&&"))
    return [" ".join(shlex.quote(word) for word in shlex.split(command, comments=True)) for command in single]


# --- ways of checking ---------------------------------------------------------------------------


def run(arguments: list[str]) -> None:
    """Runs the command itself, in this process."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def validated(arguments: list[str]) -> None:
    """Validates, as if the server of ImageNet weights answered."""
    with mock.patch("compressor_lib.networks.weights_download.request_headers"):
        run(arguments)


def parsed(arguments: list[str]) -> None:
    """Parses a command of ``compressor``, and loads the configuration that it names with what it replaces."""
    values = parse(arguments)
    config = values.get("config") or values.get("file")
    if config and str(config).endswith(".yaml") and pathlib.Path(config).parts[0] == "examples":
        data = [f"data.path={values['data']}"] if values.get("data") else []
        load_config(config, [*(values.get("overrides") or ()), *data])


def parse(arguments: list[str]) -> dict[str, Any]:
    """The values that the real command line makes of arguments; wrong ones raise its own error."""
    command: Any = get_command(app)
    context = None
    while hasattr(command, "commands"):
        context = command.context_class(command, parent=context)
        if arguments[0].startswith("-"):
            assert any(arguments[0] in option.opts for option in command.get_params(context)), arguments[0]
            return {}
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command = found
    return dict(command.make_context(command.name, arguments, parent=context).params)


def dry_run(arguments: list[str]) -> None:
    """Lets make tell what it would do."""
    made = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def files_there(arguments: list[str]) -> None:
    """A program of others, which needs a cluster, a cloud or the network: the files that it is given are there."""
    for name in arguments:
        if "/" in name and not re.search(r"[.]org/|[.]dev/|://|^roles/|^svc/|[{}<>=]", name):
            assert (ROOT / name).exists(), name


def substituted(arguments: list[str]) -> None:
    """Cloud Build: besides the files, that the build knows what is substituted."""
    files_there(arguments)
    build = (ROOT / "build/cloudbuild.yaml").read_text()
    for name in re.findall(r"(_[A-Z]+)=", " ".join(arguments)):
        assert f"${{{name}}}" in build


def created(arguments: list[str]) -> None:
    """A shell's own: nothing to check but that the line can be read."""


WAYS: dict[str, Callable[[list[str]], None]] = {
    "compressor --help": run,
    "compressor backbones": run,
    "compressor validate": validated,
    # Whole pipelines, whose real run is `make demo` in .ci/run and tests/end_to_end; platforms that are not here.
    "compressor": parsed,
    "make": dry_run,
    "gcloud builds submit": substituted,
    "gcloud": files_there,
    "docker": files_there,
    "kubectl": files_there,
    "source": created,
    "python3.10 -m venv": created,
    "python examples/tflite_without_tensorflow.py": files_there,  # tests/end_to_end/test_mobile.py runs it
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A folder with what the commands' examples name: images, files of weights, a model of one's own."""
    import keras
    from PIL import Image

    tmp_path = tmp_path_factory.mktemp("documentation")
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32)).save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "path/to").mkdir(parents=True)
    for link in ("path/to/images", "path/to/tfrecords"):
        (tmp_path / link).symlink_to(tmp_path / "images")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "mobilenet_v2_no_top.h5").touch()
    layers = keras.layers
    images = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(images))
    keras.Model(images, layers.Dense(2, activation="softmax")(x)).save(tmp_path / "mine.keras")
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documentation(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = shlex.split(command.replace("/data/images", str(folder / "images")))
    ways = [prefix for prefix in WAYS if words[: len(prefix.split())] == prefix.split()]

    assert ways, f"WAYS does not say how {command!r} is checked"
    program = max(ways, key=len)
    WAYS[program](words[1:])


INLINE = sorted(
    {match for page in PAGES for match in re.findall(r"`(compressor [a-z][^`\n]*)`", page.read_text(encoding="utf-8"))}
)


@pytest.mark.parametrize("command", INLINE)
def test_a_command_in_a_sentence_has_the_options_that_it_names(command):
    current: Any = get_command(app)
    words = shlex.split(command)[1:]
    while words and hasattr(current, "commands") and not words[0].startswith("-"):
        found = current.commands.get(words.pop(0))
        assert found is not None, f"there is no {command!r}"
        current = found
    options = {option for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} - {"--help"} <= options
