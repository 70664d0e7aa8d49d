"""A fingerprint of the project's own code.

TFX keys its cache by a node's inputs and execution parameters. Code that a node reaches by a dotted
path is not among them, so its fingerprint is given to the nodes as a parameter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("compressor_lib", "components", "pipelines")


def code_version(folders: Iterable[Path] | None = None) -> str:
    """Hashes Python sources: their paths and their bytes.

    Args:
        folders: Packages' folders; the project's own if None.

    Returns:
        The first 16 hexadecimal digits of a SHA-256. It does not depend on where the folders are.
    """
    digest = hashlib.sha256()
    for folder in folders if folders is not None else map(_folder, PACKAGES):
        for source in sorted(folder.rglob("*.py")):
            name = (Path(folder.name) / source.relative_to(folder)).as_posix()
            content = source.read_bytes()
            # Lengths keep "ab" + "c" apart from "a" + "bc".
            digest.update(f"{len(name)} {len(content)} {name} ".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _folder(package: str) -> Path:
    """Where a package lies, without importing it."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
