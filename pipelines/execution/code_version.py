"""A fingerprint of the project's own code.

TFX keys its cache by a node's inputs and execution parameters. They do not include code that a node imports by a dotted
path, so nodes take a fingerprint of the code as a parameter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("compressor_lib", "components", "pipelines")


def code_version(folders: Iterable[Path] | None = None) -> str:
    """Hashes the paths and contents of Python sources.

    Args:
        folders: Folders of packages; the project's own if None.

    Returns:
        The first 16 hexadecimal digits of a SHA-256, which does not depend on the location of the folders.
    """
    digest = hashlib.sha256()
    for folder in folders if folders is not None else map(_folder, PACKAGES):
        for source in sorted(folder.rglob("*.py")):
            name = (Path(folder.name) / source.relative_to(folder)).as_posix()
            content = source.read_bytes()
            # The lengths distinguish "ab" + "c" from "a" + "bc".
            digest.update(f"{len(name)} {len(content)} {name} ".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _folder(package: str) -> Path:
    """Finds a package's folder without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
