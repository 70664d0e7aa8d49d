from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from pipelines.execution.surroundings import prepare

START = "import sys; from pipelines.cli.console_script import main; sys.argv[:] = ['compressor', *sys.argv[1:]]; main()"


def compressor(*words: str, **given) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", START, *words], capture_output=True, text=True, check=False, **given)


@pytest.mark.parametrize(
    "words", [["runs"], ["validate", "--config", "x.yaml"], ["schedule", "list", "--target", "local"]]
)
def test_a_deleted_working_folder_is_reported_in_one_line(tmp_path, words):
    folder = tmp_path / "gone"
    folder.mkdir()
    script = f"import os; os.rmdir({str(folder)!r}); {START}"
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the working folder cannot be read (No such file or directory), because it")
    assert len(done.stderr.splitlines()) == 1


def test_prepare_sets_no_proxy_and_safe_path(monkeypatch, tmp_path):
    for name in ("no_proxy", "NO_PROXY", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    prepare()
    assert "127.0.0.1" in os.environ["no_proxy"].split(",")
    assert os.environ["PYTHONSAFEPATH"] == "1"


class TestHome:
    """HOME unset, no folder, or a folder that takes no files."""

    @pytest.fixture(params=["unset", "missing", "read-only"])
    def environment(self, request, tmp_path) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "KERAS_HOME")}
        if request.param == "missing":
            environment["HOME"] = str(tmp_path / "none")
        if request.param == "read-only":
            environment["HOME"] = "/proc"
        return environment

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "user",
        [
            pytest.param([], id="known"),
            pytest.param(["unshare", "--user", "--map-user=12345"], marks=pytest.mark.long, id="nameless"),
        ],
    )
    def test_a_network_is_built(self, environment, tmp_path, user):
        if user and not (shutil.which(user[0]) and subprocess.run([*user, "true"], check=False).returncode == 0):
            pytest.skip("no other user can be had here")
        config = tmp_path / "config.yaml"
        backbone = "{name: MobileNetV2, input_size: 32, weights: none}"
        config.write_text(f"name: x\ndata: {{source: digits}}\nbackbone: {backbone}\n")
        done = subprocess.run(
            [*user, sys.executable, "-c", START, "validate", "--config", str(config)],
            env=environment, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def test_schedules_are_listed(self, environment, tmp_path):
        done = compressor("schedule", "list", "--target", "local", env=environment, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stderr.startswith("no schedules")
