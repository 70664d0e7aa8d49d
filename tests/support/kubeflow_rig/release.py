"""The binaries of a release of Kubeflow Pipelines, which are not part of the project."""

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
"""Environment variable for folders with the binaries of one release each, joined as in ``PATH``."""

OF_A_RELEASE = ("driver", "launcher-v2", "kfp-compile")
OF_ANY_RELEASE = "kfp-argo"
API_SERVER = "apiserver"


class Refused(Exception):
    """The API server refuses a package."""


@dataclass(frozen=True)
class Release:
    """A release.

    Attributes:
        folder: Folder with ``driver``, ``launcher-v2`` and ``kfp-compile``, named after the release.
        argo: The program ``kfp-argo`` with Argo's substitutions, shared by all releases.
    """

    folder: Path
    argo: Path

    def compiled(self, package: str, parameters: Mapping[str, Any] | None = None, *, root: str, run_id: str) -> Any:
        """Compiles a package to the Workflow of a run, like the API server.

        Args:
            package: Text of the package.
            parameters: Parameters of the run, by name.
            root: The pipeline root; empty for the namespace's default.
            run_id: Id of the run, a UUID.

        Raises:
            Refused: If the API server refuses the package.
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
    """The releases that the environment names, if :func:`why_none` finds nothing missing."""
    argo = next(folder / OF_ANY_RELEASE for folder in _folders() if (folder / OF_ANY_RELEASE).is_file())
    return [Release(folder, argo) for folder in _folders()]


def _folders() -> list[Path]:
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def why_none() -> str:
    """Returns why nothing can be run; empty if it can."""
    if os.geteuid() != 0:
        return "these tests need root, because pods need their own mounts"
    folders = _folders()
    if not folders:
        return f"${VARIABLE} names no folder with Kubeflow's binaries: docs/kubeflow.md says how to get them"
    missing = [str(folder / name) for folder in folders for name in OF_A_RELEASE if not (folder / name).is_file()]
    if not any((folder / OF_ANY_RELEASE).is_file() for folder in folders):
        missing.append(str(folders[0] / OF_ANY_RELEASE))
    return f"of Kubeflow's binaries (docs/kubeflow.md), {', '.join(missing)} are not there" if missing else ""
