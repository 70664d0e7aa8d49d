"""A pipeline root is sent where there is one; else the cluster's own counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubeflow_api import KubeflowApi
from typer.testing import CliRunner

from pipelines.cli.main import app

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden" / "kubeflow.yaml"


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    api = KubeflowApi()
    yield api
    api.close()


@pytest.fixture
def package(tmp_path) -> Path:
    """One that was compiled without a pipeline root."""
    spec = yaml.safe_load(GOLDEN.read_text())
    del spec["defaultPipelineRoot"]
    path = tmp_path / "package.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def compressor(api: KubeflowApi, *arguments: object) -> None:
    done = CliRunner().invoke(app, [*map(str, arguments), "--target", "kubeflow", "--host", api.url])
    assert done.exit_code == 0, done.output


def test_a_run_of_a_package_without_one_has_none(api, package):
    compressor(api, "submit", package, "--any-version")
    assert "pipeline_root" not in api.runs["run-1"]["runtime_config"]


def test_the_command_may_give_one(api, package):
    compressor(api, "submit", package, "--any-version", "--pipeline-root", "minio://bucket/private/team")
    assert api.runs["run-1"]["runtime_config"]["pipeline_root"] == "minio://bucket/private/team"


def test_nor_have_the_runs_of_a_schedule(api, package):
    compressor(api, "schedule", "create", package, "--any-version", "--cron", "0 3 * * 1")
    (recurring,) = api.recurring.values()
    assert "pipeline_root" not in recurring["runtime_config"]
    compressor(api, "schedule", "run-now", "pictures")
    assert "pipeline_root" not in api.runs["run-1"]["runtime_config"]


@pytest.mark.parametrize("command", [["submit"], ["schedule", "create", "--cron", "0 3 * * 1"]])
@pytest.mark.parametrize("root", ["nonsense", "/mnt/root", "ftp://bucket/root", "gs://", "s3://bucket/a$$b"])
def test_a_root_that_nodes_cannot_write_to_is_refused_before_anything_is_asked(api, package, command, root):
    given = [*command, str(package), "--any-version", "--pipeline-root", root, "--target", "kubeflow"]
    refused = CliRunner().invoke(app, [*given, "--host", api.url])
    assert refused.exit_code == 2
    assert "error: --pipeline-root" in refused.output
    assert not api.runs


def test_a_parameter_that_kubernetes_would_change_is_refused(api, package):
    given = ["submit", str(package), "--any-version", "--target", "kubeflow", "--host", api.url]
    refused = CliRunner().invoke(app, [*given, "--param", "data_path=gs://bucket/cost$$"])
    assert refused.exit_code == 2
    assert "--param 'data_path=gs://bucket/cost$$' contains $$ or $(...)" in refused.output
