"""``--set``, and other options of the command line that override the configuration."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from compressor_lib.errors import CompressorError
from pipelines.cli.main import app
from pipelines.config.config import Config, load_config
from pipelines.config.overrides import override
from pipelines.execution import preflight
from pipelines.kubeflow import package

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden" / "kubeflow.yaml"

ODD_TEXTS = [
    "x #2", "a: b", "*a", "&a", "!a", "%a", "@a", "`a`", "- a", "[a", "{a", "? a", "> a", "| a", "a: [", "# a", "'a",
    '"a" b', "yes", "no", "on", "true", "1", "1_000", "0x1", "1e3", "1:30", "2026-01-01", ".inf",
    "a=b", "a,b", "«a»", "a\\nb",
]  # fmt: skip
"""What YAML takes for something else than text, or for less of it."""


def overridden(*texts: str) -> dict:
    values = {}
    override(values, texts, Config)
    return values


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "config.yaml"
    smallest = {"name": "tiny", "data": {"source": "digits"}, "backbone": {"name": "MobileNetV2"}}
    path.write_text(yaml.safe_dump(smallest))
    return path


class TestText:
    @pytest.mark.parametrize("text", ODD_TEXTS)
    @pytest.mark.parametrize(
        "field", ["name", "output", "data.path", "backbone.weights", "push.directory", "resources.retrain.accelerator"]
    )
    def test_it_is_taken_as_it_stands(self, field, text):
        value = overridden(f"{field}={text}")
        for key in field.split("."):
            value = value[key]
        assert value == text

    @pytest.mark.parametrize("text", ["'x #2'", '"x #2"', '"x \\u00232"', "  x #2 "])
    def test_quotes_and_spaces_around_it_are_none_of_it(self, text):
        assert overridden(f"data.path={text}") == {"data": {"path": "x #2"}}

    @pytest.mark.parametrize("text", ["", "null", "~"])
    def test_a_field_that_may_be_null_can_be_given_none(self, text):
        assert overridden(f"push.directory={text}", f"beam.environment={text}") == {
            "push": {"directory": None}, "beam": {"environment": None}
        }  # fmt: skip
        assert overridden("push.directory='null'") == {"push": {"directory": "null"}}
        assert overridden(f"name={text}") == {"name": text}  # it may not

    def test_a_choice_of_words_is_text(self):
        assert overridden("data.class_weights=none", "gate.baseline=no")["gate"] == {"baseline": "no"}

    def test_where_lists_can_be_given_too_a_word_is_text(self):
        assert overridden("search.connections=all #2") == {"search": {"connections": "all #2"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gate.min_accuracy=0.9", 0.9),
        ("seed= 3 ", 3),
        ("warm_start=no", False),
        ("gate.max_class_drop=null", None),
        ("search.budgets.parameters=500_000", 500_000),
        ("search.connections=['53,151', a->b]", ["53,151", "a->b"]),
        ("backbone={model: a b.keras, classes: [cat, dog]}", {"model": "a b.keras", "classes": ["cat", "dog"]}),
        ("data.span_window=4", 4),
        ("disable_cache=[retrain]", ["retrain"]),
        ("unheard.of=[1]", [1]),
    ],
)
def test_other_fields_are_yaml(text, value):
    found = overridden(text)
    for key in text.partition("=")[0].split("."):
        found = found[key]
    assert found == value


@pytest.mark.parametrize("section", ["", " ~", " null", " {}"])
def test_an_empty_section_of_the_file_is_a_section(config, section):
    config.write_text(f"{config.read_text()}gate:{section}\nsearch:\n  budgets:{section}\n")
    loaded = load_config(config, ["gate.max_drop=0.1", "search.budgets.parameters=9"])
    assert (loaded.gate.max_drop, loaded.search.budgets.parameters) == (0.1, 9)


@pytest.mark.parametrize("text", ["gate.min_accuracy=0.9 #2", "disable_cache=[a] # b", "backbone={name: x} #"])
def test_what_would_be_lost_as_a_comment_is_refused(text):
    with pytest.raises(CompressorError, match="'#.*' would be dropped as a comment"):
        overridden(text)


@pytest.mark.parametrize("text", ["backbone={name: a, name: b}", "gate={max_drop: 1, max_class_drop: 1, max_drop: 2}"])
def test_what_is_given_twice_is_refused(text):
    with pytest.raises(CompressorError, match=r"--set '.*': .*'(name|max_drop)' is given twice, both in line 1"):
        overridden(text)


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        (["gate.max_drop=0.1", "gate.max_drop=0.2"], "gate.max_drop"),
        (["seed=1", "gate.max_drop=0.1", " seed =1"], "seed"),
        (["gate={max_drop: 0.1}", "gate.max_drop=0.2"], "gate.max_drop"),
        (["gate.max_drop=0.2", "gate={max_class_drop: 0.1}"], "gate"),
    ],
)
def test_a_field_that_two_options_give_is_refused(texts, field):
    with pytest.raises(CompressorError, match=rf"--set '{field}' is given twice: keep one of them\.$"):
        overridden(*texts)


def test_sections_and_fields_beside_one_another_are_taken():
    texts = ["gate={max_drop: 0.1}", "gate.max_class_drop=0.2", "search.tau=1", "search.budgets.parameters=9"]
    assert overridden(*texts)["gate"] == {"max_drop": 0.1, "max_class_drop": 0.2}


@pytest.mark.parametrize(("option", "field"), [("--data", "data.path"), ("--output", "output"), ("--data", "data")])
def test_an_option_and_a_set_of_its_field_are_refused(config, tmp_path, option, field):
    value = f"{{source: folder, path: {tmp_path}}}" if field == "data" else tmp_path
    done = CliRunner().invoke(app, ["validate", "-c", str(config), option, str(tmp_path), "--set", f"{field}={value}"])
    assert done.exit_code == 2
    told = f"error: {'data.path' if option == '--data' else field} is given twice, by --set and by its own"
    assert done.stderr.startswith(told)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("gate: {max_drop: 0.01}\ngate: {max_drop: 0.5}\n", "'gate' is given twice, in line 6 and in line 7"),
        ("gate:\n  max_drop: 0.01\n  max_drop: 0.5\n", "'max_drop' is given twice, in line 7 and in line 8"),
        ("name: other\n", "'name' is given twice, in line 5 and in line 6"),
    ],
)
def test_a_config_that_gives_a_field_twice_is_refused(config, second, expected):
    config.write_text(config.read_text() + second)
    with pytest.raises(CompressorError, match=rf"config\.yaml': {expected}: keep one of them\.$"):
        load_config(config)


FOLDER = ["--set", "data.source=folder"]


class TestOptions:
    @pytest.mark.parametrize("name", ["run #1", "a: b", "yes", "*a", "'a'", " a ", "null"])
    def test_run_takes_paths_to_the_letter(self, config, tmp_path, monkeypatch, name):
        taken = []
        monkeypatch.setattr(preflight, "check_installed", lambda: None)
        monkeypatch.setattr("pipelines.cli.main.new_log", lambda loaded: taken.append(loaded) or 1 / 0)
        monkeypatch.chdir(tmp_path)
        Path(name).mkdir()
        CliRunner().invoke(app, ["run", "-c", str(config), "--data", name, "--output", f"out {name}", *FOLDER])
        assert [taken[0].data.path, taken[0].output] == [str(tmp_path / name), str(tmp_path / f"out {name}")]

    @pytest.mark.parametrize("root", ["gs://bucket/run #1", "gs://bucket/a: b", "gs://bucket/{a}"])
    def test_compile_takes_the_pipeline_root_to_the_letter(self, config, tmp_path, monkeypatch, root):
        taken = []
        monkeypatch.setattr(package, "compile_package", lambda loaded, *_, **__: taken.append(loaded.output) or "")
        options = ["-c", str(config), "--target", "kubeflow", "-o", str(tmp_path / "x"), "--image", "i"]
        done = CliRunner().invoke(app, ["compile", *options, "--pipeline-root", root])
        assert done.exit_code == 0, done.output
        assert taken == [root]


def test_a_package_that_gives_a_field_twice_is_refused(tmp_path):
    from pipelines.platforms.package_file import PackageFile

    twice = Path(shutil.copy(GOLDEN, tmp_path / "twice.yaml"))
    assert PackageFile.read(twice).target == "kubeflow"
    twice.write_text(GOLDEN.read_text().replace("\nroot:\n", "\nschemaVersion: 9\nroot:\n"))
    with pytest.raises(CompressorError, match=r"twice\.yaml': 'schemaVersion' is given twice, in line \d+ and in line"):
        PackageFile.read(twice)
