"""What a machine must have before anything is installed: all that is missing is named at once, before a download."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TOOLS = ["bash", "sh", "env", "cat", "awk", "dirname", "df", "make", "touch"]
PYTHON = """#!/bin/sh
case "$2" in
*version_info*) echo 3.11 ;;
*sysconfig*) echo "{headers}" ;;
*venv*) exit {venv} ;;
esac
"""


class Machine:
    """A checkout on a machine that has only what it is given."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.bin, self.headers, self.checkout = folder / "bin", folder / "include", folder / "checkout"
        for made in (self.bin, self.headers, self.checkout / "build"):
            made.mkdir(parents=True)
        for file in ("Makefile", ".python-version", "build/prerequisites"):
            shutil.copy(ROOT / file, self.checkout / file)
        for file in ("pyproject.toml", "setup.py", "uv.lock"):
            (self.checkout / file).touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        (self.headers / "Python.h").touch()
        self.has("g++")
        self.has_python()

    def has(self, command: str, script: str = "#!/bin/sh\n") -> None:
        path = self.bin / command
        path.unlink(missing_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    def has_python(self, venv: bool = True) -> None:
        self.has("python3", PYTHON.format(headers=self.headers, venv=int(not venv)))

    def has_free(self, kilobytes: int) -> None:
        self.has("df", f"#!/bin/sh\necho Filesystem\necho /dev/vda 9 9 {kilobytes} 9% /\n")

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.checkout.parent)}
        return subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, text=True)

    def check(self) -> subprocess.CompletedProcess[str]:
        return self.call("build/prerequisites", "3.11")


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_that_has_everything_passes_in_silence(machine):
    done = machine.check()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_compiler_is_named(machine):
    (machine.bin / "g++").unlink()
    done = machine.check()
    assert done.returncode == 1
    assert "- a C++ compiler (g++): pyfarmhash" in done.stderr
    assert done.stderr.endswith("apt-get install g++\n")


@pytest.mark.parametrize("compiler", ["c++", "clang++"])
def test_another_compiler_will_do(machine, compiler):
    (machine.bin / "g++").rename(machine.bin / compiler)
    assert machine.check().returncode == 0


def test_missing_headers_are_named(machine):
    (machine.headers / "Python.h").unlink()
    done = machine.check()
    assert done.returncode == 1
    assert f"Python's headers ({machine.headers}/Python.h)" in done.stderr
    assert done.stderr.endswith("apt-get install python3-dev\n")


def test_too_small_a_disk_is_named_with_what_is_free(machine):
    machine.has_free(2_000_000)
    done = machine.check()
    assert done.returncode == 1
    assert f"- 4.6 GB of disk at {machine.checkout}, which has 2.0 GB free\n" in done.stderr
    assert "apt-get" not in done.stderr
    machine.has_free(4_600_000)
    assert machine.check().returncode == 0


def test_python_without_venv_is_named_where_uv_is_not_there(machine):
    machine.has_python(venv=False)
    assert machine.check().stderr.endswith("apt-get install python3-venv\n")
    machine.has("uv")
    assert machine.check().returncode == 0


def test_without_python_3_11_uv_brings_one_with_headers(machine):
    (machine.headers / "Python.h").unlink()
    machine.has("python3", (machine.bin / "python3").read_text().replace("3.11", "3.13"))
    done = machine.check()
    assert (done.returncode, done.stdout) == (0, "There is no Python 3.11 here: uv downloads one from GitHub.\n")


def test_setup_names_all_that_is_missing_at_once_before_it_downloads_anything(machine):
    (machine.bin / "g++").unlink()
    (machine.headers / "Python.h").unlink()
    machine.has_python(venv=False)
    machine.has_free(1_000)
    done = machine.call("make", "setup")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("  - ")]
    for missing, line in zip(["venv module", "C++ compiler", "Python's headers", "4.6 GB of disk"], lines, strict=True):
        assert missing in line
    assert "apt-get install python3-venv g++ python3-dev\n" in done.stderr
    assert not (machine.checkout / ".uv").exists()
    assert not (machine.checkout / ".venv").exists()


def test_setup_ends_with_the_next_command(machine):
    machine.has("uv", "#!/bin/sh\n[ $1 != sync ] || mkdir -p $UV_PROJECT_ENVIRONMENT\n")
    (machine.bin / "mkdir").symlink_to(str(shutil.which("mkdir")))
    done = machine.call("make", "--no-print-directory", "setup")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Next: make demo" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("compressor run --config examples/pictures.yaml --data DIR")
