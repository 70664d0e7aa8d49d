from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compressor_lib.errors import CompressorError
from compressor_lib.support import processes
from compressor_lib.support.processes import SAFE_PATH, check_own, keep_others_safe, module_command

ROOT = Path(__file__).parents[3]
PACKAGES = ("components", "compressor_lib", "pipelines")


@pytest.fixture
def occupied(tmp_path, monkeypatch) -> Path:
    """A working folder in which somebody has packages of the same names."""
    for package in (*PACKAGES, "typer", "runpy"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SAFE_PATH, "")  # so that it is put back
    monkeypatch.delenv(SAFE_PATH)
    return tmp_path


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


class TestModuleCommand:
    def test_packages_in_the_working_folder_are_not_imported(self, occupied):
        done = run(*module_command("pipelines.cli"), "runs")
        assert "there are no runs in 'runs'" in done.stderr
        assert done.returncode == 2

    def test_the_module_sees_its_arguments_and_its_name(self, tmp_path):
        module = tmp_path / "told.py"
        module.write_text("import sys\nprint(__name__, sys.argv[1:], sys.modules['__main__'].__file__ == __file__)")
        done = run(*module_command("told"), "-P", "a b", PYTHONPATH=str(tmp_path))
        assert done.stdout == "__main__ ['-P', 'a b'] True\n"

    def test_start_folder_is_not_on_the_module_path(self, occupied):
        (occupied / "elsewhere").mkdir()
        module = occupied / "elsewhere" / "places.py"
        module.write_text("import os, sys\nprint(*(os.path.abspath(place) for place in sys.path), sep='\\n')")
        done = run(*module_command("places"), PYTHONPATH=str(module.parent))
        places = done.stdout.splitlines()
        assert str(module.parent) in places
        assert str(occupied) not in places
        assert str(ROOT / "compressor_lib" / "support") not in places

    def test_project_of_the_starting_process_is_used_if_not_installed(self, tmp_path):
        copy = tmp_path / "checkout"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "compressor_lib", copy / "compressor_lib", ignore=ignored)
        module = copy / "compressor_lib" / "where.py"
        module.write_text("import compressor_lib\nprint(compressor_lib.__file__)")
        start = copy / "compressor_lib" / "support" / "start_module.py"
        done = run(sys.executable, "-S", str(start), "compressor_lib.where", PYTHONPATH="")
        assert done.stdout == f"{copy / 'compressor_lib' / '__init__.py'}\n", done.stderr

    def test_the_standard_library_is_not_hidden_by_the_support_room(self):
        names = {path.stem for path in (ROOT / "compressor_lib" / "support").glob("*.py")}
        assert not names & set(sys.stdlib_module_names)


class TestCheckOwn:
    def test_own_packages_are_accepted(self):
        check_own(*PACKAGES)

    def test_shadowing_package_is_reported(self, occupied, monkeypatch):
        monkeypatch.syspath_prepend(str(occupied))
        monkeypatch.delitem(sys.modules, "components", raising=False)
        with pytest.raises(CompressorError, match=f"'{occupied}/components' shadows .*use the comp"):
            check_own("components")

    def test_missing_package_is_reported(self):
        with pytest.raises(CompressorError, match="'nothing' shadows .* own package not_there"):
            check_own("not_there")


def test_python_m_reports_the_shadowing_folder(tmp_path):
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise RuntimeError")
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", "runs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: '{tmp_path}/components' shadows auto-compressor's own package")


@pytest.mark.parametrize(("folder", "is_set"), [("elsewhere", True), ("", False)])
def test_processes_of_libraries_ignore_the_working_folder(tmp_path, monkeypatch, folder, is_set):
    monkeypatch.setattr(processes, "_PROJECT", tmp_path)
    monkeypatch.setenv(SAFE_PATH, "")  # so that it is put back
    monkeypatch.delenv(SAFE_PATH)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / folder)
    keep_others_safe()
    assert (SAFE_PATH in os.environ) is is_set
    if is_set and sys.version_info >= (3, 11):
        done = run(sys.executable, "-c", "import sys; print('' in sys.path)")
        assert done.stdout == "False\n"


def test_image_imports_no_module_from_its_working_folder():
    assert "PYTHONSAFEPATH=1" in (ROOT / "build" / "Dockerfile").read_text()
