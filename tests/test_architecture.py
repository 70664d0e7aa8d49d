"""Imports go one way, and the library stands alone: the contracts in pyproject.toml, and what its texts name."""

import ast
import pathlib
import re
import shutil
import subprocess
import sysconfig

import pytest
import typer

from pipelines.cli.main import app
from pipelines.config.config import Config
from pipelines.config.errors import all_fields

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


def of_others() -> re.Pattern[str]:
    """Matches what the library does not name: the configuration's fields, flags of the commands, other packages."""
    # The longest first, so that a field of a section is found, not the section.
    fields = sorted((re.escape(field) for field in all_fields(Config) if "." in field), key=len, reverse=True)
    commands = [typer.main.get_command(app)]
    flags = set()
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        flags |= {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
    return re.compile(rf"(?<![\w.])({'|'.join(fields)}|(components|pipelines)\.[a-z_]+|{'|'.join(flags)})(?![\w-])")


def named_in(source: str, pattern: re.Pattern[str]) -> list[str]:
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [found.group() for text in texts if isinstance(text, str) for found in pattern.finditer(text)]


def test_the_library_names_no_fields_flags_or_other_packages():
    pattern = of_others()

    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "compressor_lib").rglob("*.py")
        for name in named_in(path.read_text(encoding="utf-8"), pattern)
    }

    assert not found, "the library speaks of its own arguments; CompressorError(argument=) names the one to change"


@pytest.mark.parametrize("name", ["search.tau", "gate.max_drop", "search.budgets.parameters", "--set", "components.x"])
def test_a_name_that_is_not_the_librarys_is_found(name):
    assert named_in(f'def f(n):\n    raise ValueError(f"{{n}} is wrong: set {name}")', of_others()) == [name]


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
