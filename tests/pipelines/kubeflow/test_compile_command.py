from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pipelines.cli.main import app

REMOTE = ["--set", "data.path=gs://bucket/images", "--pipeline-root", "gs://bucket/root", "--image", "some/image"]


@pytest.fixture
def compile_to(tmp_path):
    """Runs the command; returns its result and the package's path."""

    def run(*arguments: str):
        package = tmp_path / "package"
        command = ["compile", "--config", "examples/pictures.yaml", "--output", str(package), *arguments]
        return CliRunner().invoke(app, command), package

    return run


def test_a_package_is_written(compile_to):
    result, package = compile_to("--target", "vertex", *REMOTE)
    assert result.exit_code == 0, result.output
    assert f"{package}: pipeline pictures for vertex, image some/image" in result.output
    job = json.loads(package.read_text())
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/root/pipeline_root"


def test_all_that_cannot_be_is_told_and_nothing_is_written(compile_to, tmp_path):
    overrides = ("--set", f"data.path={tmp_path}", "--set", "gate.baseline=blessed")
    result, package = compile_to("--target", "kubeflow", "--image", "some/image", *overrides)
    assert result.exit_code == 2
    for field in ("data.path is", "push.directory, by default in output, is", "gate.baseline is blessed"):
        assert f"\n  {field}" in result.output
    assert "Traceback" not in result.output
    assert not package.exists()


def test_the_clusters_own_pipeline_root_is_told_of(compile_to):
    overrides = ("--set", "data.path=gs://bucket/images", "--set", "push.directory=gs://bucket/serving")
    result, package = compile_to("--target", "kubeflow", "--image", "some/image", *overrides)
    assert result.exit_code == 0, result.output
    assert "artifacts go to the cluster's own pipeline root (ConfigMap kfp-launcher)" in result.output
    assert "defaultPipelineRoot" not in package.read_text()


def test_a_pipeline_root_on_this_machine_is_refused(compile_to, tmp_path):
    given = ("--set", "data.path=gs://bucket/images", "--set", "push.directory=gs://bucket/serving")
    result, package = compile_to("--target", "kubeflow", "--image", "i", *given, "--pipeline-root", str(tmp_path))
    assert result.exit_code == 2
    assert (
        f"--pipeline-root '{tmp_path}' is not in a store that the nodes can reach: give one that begins"
        in result.output
    )
    assert not package.exists()


def test_a_folder_that_does_not_exist_is_told(compile_to):
    result, _ = compile_to("--target", "vertex", *REMOTE, "--output", "/nowhere/package.json")
    assert result.exit_code == 2
    assert "package '/nowhere/package.json' cannot be written (No such file or directory): choose" in result.output
