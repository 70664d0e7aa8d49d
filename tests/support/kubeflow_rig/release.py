"""The binaries of one release of Kubeflow Pipelines, which are no part of the project."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "KFP_BIN"
"""Environment variable: folders with a release's binaries each, joined as in ``PATH``."""

OF_A_RELEASE = ("driver", "launcher-v2", "kfp-compile")
OF_ANY_RELEASE = "kfp-argo"
API_SERVER = "apiserver"


class Refused(Exception):
    """What the API server says to a package that it does not take."""


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        folder: Holds ``driver``, ``launcher-v2`` and ``kfp-compile``; its name tells the release.
        argo: Argo's own substitutions, ``kfp-argo``; those of one release serve all.
    """

    folder: Path
    argo: Path

    def compiled(self, package: str, parameters: Mapping[str, Any] | None = None, *, root: str, run_id: str) -> Any:
        """The Workflow that the API server makes of a package for a run.

        Args:
            package: The package's text.
            parameters: The run's, by name.
            root: The pipeline root; empty: the namespace's default.
            run_id: A UUID.

        Raises:
            Refused: If it makes none.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(package)
            file.flush()
            done = subprocess.run(
                [
                    self.folder / "kfp-compile", "--package", file.name, "--root", root, "--run-id", run_id,
                    "--params", json.dumps(dict(parameters or {})),
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode:
            raise Refused(done.stderr.strip())
        return json.loads(done.stdout)


def releases() -> list[Release]:
    """Those that the environment names, where :func:`why_none` finds nothing missing."""
    argo = next(folder / OF_ANY_RELEASE for folder in _folders() if (folder / OF_ANY_RELEASE).is_file())
    return [Release(folder, argo) for folder in _folders()]


def _folders() -> list[Path]:
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def why_none() -> str:
    """Why nothing can be run; empty where it can."""
    if os.geteuid() != 0:
        return "pods take mounts of their own, and so these tests take root"
    folders = _folders()
    if not folders:
        return f"${VARIABLE} names no folder with Kubeflow's binaries: docs/kubeflow.md says how to come by them"
    missing = [str(folder / name) for folder in folders for name in OF_A_RELEASE if not (folder / name).is_file()]
    if not any((folder / OF_ANY_RELEASE).is_file() for folder in folders):
        missing.append(str(folders[0] / OF_ANY_RELEASE))
    return f"of Kubeflow's binaries (docs/kubeflow.md), {', '.join(missing)} are not there" if missing else ""
