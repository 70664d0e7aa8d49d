"""The packages that pip, uv and Apache Beam build from this source."""

import configparser
import email
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import compressor_lib

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ["compressor_lib", "components", "pipelines"]


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of what a build reads, and of `build/`, which it must not write to."""
    copy = tmp_path / "source"
    for folder in [*PACKAGES, "build"]:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ["pyproject.toml", "setup.py", "README.md", "LICENSE"]:
        shutil.copy(ROOT / file, copy)
    return copy


def call_backend(hook: str, source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Calls a PEP 517 hook as a front end would, with no network and no isolation."""
    target.mkdir()
    code = f"from setuptools import build_meta; build_meta.{hook}({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("hook", ["build_wheel", "build_editable", "build_sdist"])
def test_a_build_leaves_the_build_folder_alone(hook, source, tmp_path):
    before = contents(source / "build")
    assert before, "build/ is a source folder; it is not empty"

    call_backend(hook, source, tmp_path / "dist")

    assert contents(source / "build") == before


def test_the_wheel_holds_the_three_packages_and_the_command(source, tmp_path):
    wheel = zipfile.ZipFile(call_backend("build_wheel", source, tmp_path / "dist"))
    metadata = f"auto_compressor-{compressor_lib.__version__}.dist-info"

    modules = {name for name in wheel.namelist() if name.endswith(".py")}
    assert modules == {
        str(path.relative_to(source)) for package in PACKAGES for path in (source / package).rglob("*.py")
    }
    assert "compressor_lib/py.typed" in wheel.namelist()
    page = {f"components/report/page_files/{name}" for name in ("report.html.j2", "style.css", "script.js")}
    assert page <= set(wheel.namelist())

    scripts = configparser.ConfigParser()
    scripts.read_string(wheel.read(f"{metadata}/entry_points.txt").decode())
    assert scripts["console_scripts"]["compressor"] == "pipelines.cli.console_script:main"

    described = email.message_from_bytes(wheel.read(f"{metadata}/METADATA"))
    assert described["Name"] == "auto-compressor"
    assert described["Version"] == compressor_lib.__version__


def test_a_wheel_forgets_modules_deleted_since_the_last_build(source, tmp_path):
    passing = source / "compressor_lib" / "passing.py"
    passing.write_text('"""Soon gone."""\n')
    first = zipfile.ZipFile(call_backend("build_wheel", source, tmp_path / "first"))
    passing.unlink()
    second = zipfile.ZipFile(call_backend("build_wheel", source, tmp_path / "second"))

    assert "compressor_lib/passing.py" in first.namelist()
    assert "compressor_lib/passing.py" not in second.namelist()


def test_setup_py_makes_the_archive_that_beam_ships(source, tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(tmp_path / "dist")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)

    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"setup.py", "pyproject.toml", *(f"{p}/__init__.py" for p in PACKAGES)} <= names
