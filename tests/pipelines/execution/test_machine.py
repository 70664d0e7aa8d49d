from __future__ import annotations

import sys
from types import SimpleNamespace
from urllib.error import URLError

import pytest
from typer.testing import CliRunner

from compressor_lib.networks import weights_download
from pipelines.cli import main as cli
from pipelines.config.config import BackboneConfig
from pipelines.execution import machine

RANDOM = BackboneConfig(name="MobileNetV2", input_size=32, alpha=0.35, weights="none")


def doctor(tmp_path, *arguments):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"{{name: a, output: {tmp_path}/out, data: {{source: digits}}, "
        "backbone: {name: MobileNetV2, input_size: 32, alpha: 0.35, weights: none}}"
    )
    return CliRunner().invoke(cli.app, ["doctor", "--config", str(config), *arguments])


def test_without_a_package_each_thing_of_this_machine_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "usable_memory", lambda: 2**34)
    monkeypatch.setattr(machine, "_GOOD_DISK", 0)
    result = doctor(tmp_path)
    assert result.exit_code == 0, result.output
    names = [line[9:].partition(":")[0] for line in result.stdout.splitlines()]
    assert names == [
        "Python", "auto-compressor", "tensorflow", "keras", "keras-tuner", "tfx", "cores", "memory",
        "disk of the output", "disk of TMPDIR", "GPU", "weights",
    ]  # fmt: skip
    assert {line.split()[0] for line in result.stdout.splitlines()} <= {"ok", "warning"}
    assert not (tmp_path / "out").exists()


def test_a_problem_ends_with_a_status_and_the_way_out(tmp_path, monkeypatch):
    def unreachable(url):
        raise URLError("Name or service not known")

    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(weights_download, "request_headers", unreachable)
    result = doctor(tmp_path, "--set", "backbone.weights=imagenet")
    assert result.exit_code == 2
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("problem"))
    assert "weights: the ImageNet weights of MobileNetV2" in line
    assert "backbone.weights: the ImageNet weights" in line


def test_a_package_needs_its_platform(tmp_path):
    result = CliRunner().invoke(cli.app, ["doctor", "package.yaml"])
    assert result.exit_code == 2
    assert "give --target kubeflow or --target vertex" in result.stderr


@pytest.mark.parametrize(("version", "grade"), [((3, 10), "ok"), ((3, 11), "ok"), ((3, 9), "problem")])
def test_python(version, grade):
    assert machine.check_python(version).grade == grade


def test_a_package_that_is_missing():
    finding = machine.check_package("no-such-package")
    assert (finding.grade, finding.detail) == ("problem", "not installed: pip install auto-compressor")


@pytest.mark.parametrize(("gib", "grade"), [(1, "problem"), (4, "warning"), (16, "ok")])
def test_memory(gib, grade):
    finding = machine.check_memory(gib * 2**30)
    assert finding.grade == grade
    assert ("feature_memory_mb" in finding.detail) is (grade != "ok")


@pytest.mark.parametrize(("free", "grade"), [(2**20, "problem"), (5 * 2**30, "warning"), (50 * 2**30, "ok")])
def test_disk(tmp_path, monkeypatch, free, grade):
    usage = SimpleNamespace(free=free)

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: usage)
    finding = machine.check_disk("disk of the output", str(tmp_path / "deep" / "er"))
    assert finding.grade == grade
    assert str(tmp_path) in finding.detail


def test_a_disk_below_a_folder_not_to_be_entered_is_a_problem(closed):
    finding = machine.check_disk("disk of the output", str(closed / "deeper"))
    assert (finding.grade, finding.detail) == (
        "problem", f"{closed} is not writable: choose another folder with --output"
    )  # fmt: skip


def test_a_tensorflow_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert machine.check_gpu().grade == "problem"


def test_a_model_of_ones_own_needs_no_weights():
    own = RANDOM.model_copy(update={"name": None, "model": "mine.keras"})
    assert machine.check_weights(own).detail == "of mine.keras"
    assert machine.check_weights(RANDOM).detail == "random (MobileNetV2)"
