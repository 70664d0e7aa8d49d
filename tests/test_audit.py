"""Known vulnerabilities of the locked packages: one that is found fails, an exception passes, silence is told."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from served import Served

ROOT = pathlib.Path(__file__).parents[1]
NOT_CHECKED = re.compile(
    r"not checked: the vulnerability service gave no answer that can be used \(.+\): ask again later\n"
)
UV = shutil.which(os.environ.get("UV", "uv"))
# As https://osv.dev answers, shortened.
ADVISORY = {
    "id": "GHSA-5wvp-7f3h-6wmm",
    "aliases": ["CVE-2023-47248"],
    "summary": "PyArrow: Arbitrary code execution when loading a malicious data file",
    "modified": "2024-11-19T05:00:00Z",
    "published": "2023-11-09T09:30:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "pyarrow"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0.14.0"}, {"fixed": "14.0.1"}]}],
        }
    ],
}
PROJECT = """
[project]
name = "small"
version = "1"
requires-python = ">=3.10"
dependencies = ["pyarrow"]
"""
LOCK = """
version = 1
requires-python = ">=3.10"

[[package]]
name = "pyarrow"
version = "10.0.1"
source = { registry = "http://127.0.0.1:9/simple" }

[[package]]
name = "small"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "pyarrow" }]

[package.metadata]
requires-dist = [{ name = "pyarrow" }]
"""


class _Service(BaseHTTPRequestHandler):
    """Knows one advisory."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        known = {"vulns": [{name: ADVISORY[name] for name in ("id", "modified")}]}
        self._answer({"results": [known if one["package"]["name"] == "pyarrow" else {} for one in asked]})

    def do_GET(self) -> None:
        self._answer(ADVISORY)

    def _answer(self, told: Any) -> None:
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class _Down(_Service):
    def do_POST(self) -> None:
        self.send_error(503)


class _Nonsense(_Service):
    def do_POST(self) -> None:
        self._answer({"results": "x"})


@pytest.fixture
def service() -> Iterator[Served]:
    served = Served(_Service)
    yield served
    served.close()


@pytest.fixture
def project(tmp_path) -> pathlib.Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "uv.lock").write_text(LOCK)
    return tmp_path


def audit(project: pathlib.Path, url: str) -> subprocess.CompletedProcess[str]:
    if UV is None:
        pytest.skip("there is no uv: make test brings one")
    environment = os.environ | {"UV": os.path.abspath(UV), "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [ROOT / ".ci/audit", f"--service-url={url}"],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_known_vulnerability_fails_and_is_named(project, service):
    done = audit(project, service.url)
    assert done.returncode == 1
    assert "pyarrow 10.0.1" in done.stdout
    assert "GHSA-5wvp-7f3h-6wmm" in done.stdout
    assert "[tool.uv.audit]" in done.stderr


@pytest.mark.parametrize("name", ["GHSA-5wvp-7f3h-6wmm", "CVE-2023-47248"])
def test_an_exception_passes(project, service, name):
    (project / "pyproject.toml").write_text(f'{PROJECT}\n[tool.uv.audit]\nignore = ["{name}"]\n')
    done = audit(project, service.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no known vulnerabilities" in done.stdout


def test_an_exception_that_lets_nothing_pass_fails_and_is_named(project, service):
    (project / "pyproject.toml").write_text(
        f'{PROJECT}\n[tool.uv.audit]\nignore = ["CVE-2023-47248", "CVE-2000-0001"]\n'
    )
    done = audit(project, service.url)
    assert done.returncode == 1
    assert "CVE-2000-0001" in done.stdout
    assert "CVE-2023-47248" not in done.stdout
    assert "delete these exceptions" in done.stderr


def test_a_service_that_does_not_answer_is_told_and_fails_nothing(project, service):
    service.close()
    done = audit(project, service.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert NOT_CHECKED.fullmatch(done.stdout)


@pytest.mark.parametrize("kind", [_Down, _Nonsense])
def test_so_is_one_that_answers_nothing_of_use(project, kind):
    served = Served(kind)
    done = audit(project, served.url)
    served.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert NOT_CHECKED.fullmatch(done.stdout)


def test_a_damaged_lock_is_not_taken_for_silence(project, service):
    (project / "uv.lock").write_text("version = one")
    assert audit(project, service.url).returncode == 2


def disagreements(settings: str, page: str, lock: str) -> list[str]:
    """Exceptions in the settings without a reason on the page, and rows there without an exception or a package."""
    section = re.sub("#.*", "", settings.partition("[tool.uv.audit]")[2].partition("\n[")[0])
    excepted = set(re.findall(r'"([^"]+)"', section))
    table = page.partition("| Exception | Package | Reason |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|", 2)] for line in table.splitlines()]
    wrong = [f"{name} has no row" for name in excepted - {row[0] for row in rows}]
    for name, package, reason in rows:
        if name not in excepted:
            wrong.append(f"{name} is no exception")
        if len(reason.split()) < 5:
            wrong.append(f"{name} has no reason")
        if 'name = "{}"\nversion = "{}"\n'.format(*package.split()) not in lock:
            wrong.append(f"{package} is not locked")
    return wrong


def test_every_exception_has_its_reason():
    files = ("pyproject.toml", "docs/dependencies.md", "uv.lock")
    assert disagreements(*((ROOT / file).read_text() for file in files)) == []


@pytest.mark.parametrize(
    ("excepted", "row", "wrong"),
    [
        ("CVE-1", "| CVE-1 | pyarrow 10.0.1 | No such file is read |", []),
        ("CVE-2", "| CVE-1 | pyarrow 10.0.1 | No such file is read |", ["CVE-2 has no row", "CVE-1 is no exception"]),
        ("OSV-1", "", ["OSV-1 has no row"]),
        ("CVE-1", "| CVE-1 | pyarrow 10.0.1 | |", ["CVE-1 has no reason"]),
        ("CVE-1", "| CVE-1 | pyarrow 9.0.0 | No such file is read |", ["pyarrow 9.0.0 is not locked"]),
    ],
)  # fmt: skip
def test_each_disagreement_is_found(excepted, row, wrong):
    settings = f'[tool.uv.audit]\nignore = [\n    "{excepted}",\n]\n\n[tool.other]\nx = "y"\n'
    page = f"| Exception | Package | Reason |\n|---|---|---|\n{row}\n\n## Next\n"
    assert disagreements(settings, page, LOCK) == wrong
