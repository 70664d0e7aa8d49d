from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STATUS = """\
Package: libstdc++6
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Source: gcc-12
Version: 12.2.0-14+deb12u1
Description: GNU Standard C++ Library v3
 This package contains an additional runtime library.
 Version: no field, for it is indented

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tzdata
Status: hold ok installed
Architecture: all
Version: 1:2024a-0+deb12u1~x
Conffiles:
 /etc/x 0123456789abcdef

"""
PYTHON = {"type": "library", "bom-ref": "keras==3.12.0", "name": "keras", "purl": "pkg:pypi/keras@3.12.0"}


@pytest.fixture
def add(tmp_path):
    """Adds the packages of a status file to a list; what is said, and the list."""
    bill, file = tmp_path / "sbom.json", tmp_path / "status"
    bill.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [PYTHON]}))

    def _add(status: str) -> tuple[subprocess.CompletedProcess[str], dict]:
        file.write_text(status)
        command = [sys.executable, "-I", str(ROOT / "build/debian_packages.py"), str(file), str(bill)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done, json.loads(bill.read_text())

    return _add


def test_what_is_installed_is_added(add):
    done, bill = add(STATUS)
    assert done.returncode == 0, done.stderr
    first, *debian = bill["components"]
    assert first == PYTHON
    assert [(one["name"], one["version"], one["purl"]) for one in debian] == [
        (
            "libstdc++6",
            "12.2.0-14+deb12u1",
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
        ),
        ("tzdata", "1:2024a-0+deb12u1~x", "pkg:deb/debian/tzdata@1%3A2024a-0%2Bdeb12u1~x?arch=all&distro=debian-12"),
    ]
    assert all(one["bom-ref"] == one["purl"] and one["type"] == "library" for one in debian)


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="this machine is no Debian")
def test_a_real_file_is_read_as_dpkg_reads_it(add):
    _, bill = add(Path("/var/lib/dpkg/status").read_text())
    form = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
    told = subprocess.run(["dpkg-query", "--show", f"--showformat={form}"], check=True, capture_output=True, text=True)
    installed = [line.split()[1:] for line in told.stdout.splitlines() if line.startswith("installed ")]
    found = [[one["name"], one["version"], re.search("arch=(.*)&", one["purl"])[1]] for one in bill["components"][1:]]
    assert sorted(found) == sorted(installed)


def test_a_file_without_any_is_refused(add):
    done, bill = add("")
    assert done.returncode == 1
    assert "lists no installed packages" in done.stderr
    assert bill["components"] == [PYTHON]


def test_the_image_has_its_own_packages_listed():
    dockerfile = (ROOT / "build/Dockerfile").read_text()
    assert "COPY --from=system /var/lib/dpkg/status " in dockerfile
    *_, last = re.findall(r"^FROM (.+)$", dockerfile, re.MULTILINE)
    assert last == "system"
    assert "apt-get" not in dockerfile.partition("\nFROM system\n")[2]
    assert "!build/debian_packages.py" in (ROOT / ".dockerignore").read_text().splitlines()
