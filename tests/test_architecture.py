"""Imports go one way, and the library stands alone: the contracts in pyproject.toml."""

import pathlib
import shutil
import subprocess
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ["compressor_lib", "components", "pipelines"]


def lint_imports(folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Checks the import contracts on the packages in a folder."""
    command = pathlib.Path(sysconfig.get_path("scripts"), "lint-imports")
    return subprocess.run([command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts():
    report = lint_imports(ROOT)

    assert report.returncode == 0, report.stdout + report.stderr


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("compressor_lib", "import tfx"),
        ("compressor_lib", "import rich.table"),
        ("compressor_lib", "import components"),
        ("components", "import pipelines"),
        ("compressor_lib.networks", "import compressor_lib.search.run"),
        ("components.pusher", "import components.evaluator.executor"),
        ("components.artifacts", "import components.pusher.executor"),
        ("pipelines.results", "import pipelines.cli.main"),
    ],
)
def test_the_contracts_catch_an_import_inside_a_function(importer, line, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / importer.replace(".", "/") / "wrong.py").write_text(f"def late():\n    {line}\n")

    report = lint_imports(tmp_path)

    assert report.returncode == 1, report.stdout + report.stderr
    assert f"{importer}.wrong -> {line.split()[1].split('.')[0]}" in report.stdout


# What no one module does: the page in a browser, odd images, whole packages and their roots, others' weights.
OF_NO_MODULE = {
    "test_backend",
    "test_browser",
    "test_cache",
    "test_compile_command",
    "test_odd_images",
    "test_pipeline_root",
    "test_real_weights",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_mirror_the_package(package):
    tests = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests" / package).rglob("test_*.py")]
    modules = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
    lost = [path for path in tests if path.with_name(path.name.removeprefix("test_")) not in modules]
    assert {path.stem for path in lost} <= OF_NO_MODULE
