"""The project as it is deployed: its wheel and the lock's packages, far from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kubeflow_cluster import Cluster

ROOT = Path(__file__).parents[2]
UV = shutil.which(os.environ.get("UV", "uv"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(UV is None, reason="there is no uv: make test-all brings one"),
]


def uv(*arguments: object, folder: Path = ROOT) -> None:
    command = [os.path.abspath(str(UV)), *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


@pytest.fixture
def environment(tmp_path) -> Path:
    """A clean environment with the wheel and what the lock says, every hash checked."""
    requirements, folder = tmp_path / "requirements.txt", tmp_path / "environment"
    uv("export", "--locked", "--quiet", "--extra=pipelines", "--no-emit-project", f"--output-file={requirements}")
    assert requirements.read_text().count("--hash=sha256:") > 100
    uv("build", "--quiet", "--wheel", f"--out-dir={tmp_path / 'dist'}")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    uv("venv", "--quiet", "--python=3.11", folder, folder=tmp_path)
    pip = ("pip", "install", "--quiet", f"--python={folder}", "--no-deps")
    uv(*pip, "--require-hashes", "--requirement", requirements, folder=tmp_path)
    uv(*pip, wheel, folder=tmp_path)
    return folder


def test_a_node_runs_from_the_wheel_and_the_locked_packages(environment, tmp_path, small_backbone):
    cluster = Cluster(tmp_path, small_backbone, "2.17")
    cluster.backend.environment["PATH"] = f"{environment / 'bin'}:/usr/bin:/bin"
    cluster.backend.environment.pop("PYTHONPATH", None)
    values = {name: given["defaultValue"] for name, given in cluster.package.parameters.items()}
    found = cluster.backend.task(cluster.package, "NewData", values, {})
    done = cluster.backend.task(cluster.package, "ImageExampleGen", values, {"NewData": found})
    files = cluster.backend.files(done.outputs["examples"])
    assert {"Split-train", "Split-eval", "Split-test"} <= {Path(name).parent.name for name in files}
