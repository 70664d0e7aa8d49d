"""Adds Debian's packages to a list of packages (SBOM): ``debian_packages.py /var/lib/dpkg/status sbom.cdx.json``.

The list is CycloneDX's JSON, as cyclonedx-py writes it of the Python packages. Only the standard library is imported,
for this runs in the image's build.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

DISTRIBUTION = "debian-12"


def components(status: str) -> Iterator[dict[str, str]]:
    """What is installed, each as a component of CycloneDX with its package URL.

    Args:
        status: dpkg's status file (deb822): paragraphs of ``Field: value``, further lines of a value indented.
    """
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line[0].isspace())
        if not fields.get("Status", "").endswith(" installed"):
            continue  # removed, but for its settings; or the end of the file
        name, version = fields["Package"], fields["Version"]
        url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}&distro={DISTRIBUTION}"
        yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def main(status: str, bill: str) -> None:
    """Adds to a file, in place.

    Args:
        status: dpkg's status file.
        bill: The list of packages.
    """
    told = json.loads(Path(bill).read_text(encoding="utf-8"))
    found = list(components(Path(status).read_text(encoding="utf-8")))
    if not found:
        sys.exit(f"error: {status} tells of no installed package: give the status file of dpkg")
    told["components"].extend(found)
    Path(bill).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
