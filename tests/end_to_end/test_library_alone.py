"""The library alone, as a newcomer has it: its wheel in a fresh environment, and README's snippet."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import blocks
from PIL import Image

ROOT = Path(__file__).parents[2]
UV = shutil.which(os.environ.get("UV", "uv"))
UNREACHABLE = ("Failed to fetch", "error sending request", "client error (Connect)", "operation timed out")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(UV is None, reason="there is no uv: make test-all brings one"),
]


def uv(*arguments: object, folder: Path) -> None:
    command = [os.path.abspath(str(UV)), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip(f"the package registry cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--wheel", f"--out-dir={folder}", ROOT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


def base_requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        described = email.message_from_bytes(archive.read(metadata))
    return [line for line in described.get_all("Requires-Dist", []) if "extra ==" not in line]


@pytest.fixture(scope="module", params=["highest", "lowest-direct"])
def environment(request, wheel, tmp_path_factory) -> Iterator[Path]:
    """A fresh environment with the wheel and the newest, or the lowest, releases that it allows."""
    parent = tmp_path_factory.mktemp("alone")
    folder = parent / "environment"
    uv("venv", "--quiet", f"--python={sys.version_info.major}.{sys.version_info.minor}", folder, folder=parent)
    # Named one by one, for "lowest-direct" is for what is asked for, not for what that asks for in turn.
    resolution = f"--resolution={request.param}"
    requirements = base_requirements(wheel)
    uv("pip", "install", "--quiet", f"--python={folder}", resolution, *requirements, wheel, folder=parent)
    yield folder
    shutil.rmtree(folder)  # 2 GB


def run(environment: Path, command: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # Not what this process has: an import of TFX sets TF_USE_LEGACY_KERAS for all that it starts.
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [environment / "bin" / command, *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=600
    )


def snippet() -> str:
    """README's, without a download and with few epochs."""
    (found,) = (block.text for block in blocks("python") if block.page == "README.md")
    for written, instead in {"tau=0.4,": "tau=0.4, weights=None,", "max_epochs=50": "max_epochs=2"}.items():
        assert found.count(written) == 1
        found = found.replace(written, instead)
    return found


def test_readmes_snippet_runs(environment, tmp_path):
    random = np.random.default_rng(0)
    for name in "abcde":
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(5):
            image = Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8))
            image.save(tmp_path / "images" / name / f"{number}.png")
    asked = "print('found', best.count_params(), best.predict(ds_val, verbose=0).shape)"
    (tmp_path / "snippet.py").write_text(f"{snippet()}\n{asked}\n")
    done = run(environment, "python", "snippet.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-5000:]
    found, parameters, shape = done.stdout.splitlines()[-1].split(" ", 2)
    assert (found, shape) == ("found", "(5, 5)")
    assert 0 < int(parameters) < 2_300_000


def test_the_command_says_what_to_install(environment, tmp_path):
    done = run(environment, "compressor", "--help", folder=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the command compressor needs the extra [pipelines]")
    assert "make setup" in line


def test_every_module_of_the_library_can_be_imported(environment, tmp_path):
    imports = (
        "import importlib, pkgutil, compressor_lib\n"
        "for module in pkgutil.walk_packages(compressor_lib.__path__, 'compressor_lib.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    done = run(environment, "python", "-c", imports, folder=tmp_path)
    assert done.returncode == 0, done.stderr[-5000:]
