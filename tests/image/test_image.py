"""The nodes of a compiled package, one by one, in the built image: ``make image-test``."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from kubeflow_cluster import Cluster

IMAGE = os.environ.get("COMPRESSOR_IMAGE")
ENGINE = shlex.split(os.environ.get("COMPRESSOR_ENGINE", "docker"))
# As strict as a cluster may be, and with fewer files and processes than it would give.
LIMITS = [
    "--rm", "--network=host", "--user=1000:1000", "--read-only", "--cap-drop=all",
    "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000",
]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE, reason="no image is named by $COMPRESSOR_IMAGE: make image-test builds one"),
    pytest.mark.skipif(shutil.which(ENGINE[0]) is None, reason=f"there is no container engine {ENGINE[0]}"),
]


def in_image(command: list[str], *flags: str) -> list[str]:
    return [*ENGINE, "run", *LIMITS, *flags, str(IMAGE), *command]


def output_of(command: str) -> str:
    return subprocess.run(in_image(["sh", "-c", command]), check=True, capture_output=True, text=True).stdout.strip()


def test_it_holds_what_it_needs_and_no_more():
    assert output_of("id -u") == "1000"
    assert output_of("for tool in gcc cc make pip uv; do command -v $tool; done; true") == ""
    assert "compressor" in output_of("compressor --help")
    assert output_of("touch /opt/compressor/x 2>/dev/null || echo refused") == "refused"


def test_it_tells_what_is_in_it():
    bill = json.loads(output_of("cat /opt/compressor/sbom.cdx.json"))
    told = "import importlib.metadata as m; [print(one.name, one.version) for one in m.distributions()]"
    installed = dict(line.split() for line in output_of(f"python -c '{told}'").splitlines())
    installed.pop(bill["metadata"]["component"]["name"])
    packages = output_of("dpkg-query --show --showformat='${Package} ${Version}\\n'")
    debian = {one["name"]: one["version"] for one in bill["components"] if "pkg:deb/" in one.get("purl", "")}
    assert debian == dict(line.split() for line in packages.splitlines())
    python = {one["name"]: one["version"] for one in bill["components"] if "pkg:deb/" not in one.get("purl", "")}
    assert python == installed


def test_a_package_runs_in_it_from_images_to_a_pushed_model(tmp_path, small_backbone, capsys):
    shared = os.umask(0)  # the nodes run as another user
    try:
        cluster = Cluster(tmp_path, small_backbone, "2.17", image=str(IMAGE))

        def contained(command: list[str], local: Path) -> list[str]:
            folders = [f"--volume={folder}:{folder}" for folder in (local, cluster.folder)]
            local.chmod(0o777)
            return in_image(command, *folders, f"--env=COMPRESSOR_MOUNTS_ROOT={local}", f"--workdir={local}")

        cluster.folder.chmod(0o777)
        cluster.backend.contained = contained
        done = cluster.backend.run(cluster.package)
    finally:
        os.umask(shared)
    with capsys.disabled():
        print("\n" + "\n".join(f"{name:22}{task.seconds:7.1f} s" for name, task in done.items()))
    assert len(cluster.pushed) == 1
