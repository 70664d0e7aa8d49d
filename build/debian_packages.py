"""Adds Debian's packages to a bill of materials (SBOM): ``debian_packages.py /var/lib/dpkg/status sbom.cdx.json``.

The file is CycloneDX JSON, as cyclonedx-py writes it for the Python packages. The script imports only the standard
library, because it runs during the image's build.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

DISTRIBUTION = "debian-12"


def components(status: str) -> Iterator[dict[str, str]]:
    """Yields each installed package as a CycloneDX component with its package URL.

    Args:
        status: Content of dpkg's status file (deb822): paragraphs of ``Field: value``; continuation lines are indented.
    """
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line[0].isspace())
        if not fields.get("Status", "").endswith(" installed"):
            continue  # removed except for its settings, or the end of the file
        name, version = fields["Package"], fields["Version"]
        url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}&distro={DISTRIBUTION}"
        yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def main(status: str, bill: str) -> None:
    """Adds Debian's packages to a file, in place.

    Args:
        status: Path of dpkg's status file.
        bill: Path of the bill of materials.
    """
    content = json.loads(Path(bill).read_text(encoding="utf-8"))
    found = list(components(Path(status).read_text(encoding="utf-8")))
    if not found:
        sys.exit(f"error: {status} lists no installed packages: give dpkg's status file")
    content["components"].extend(found)
    Path(bill).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
