"""A cluster that runs packages: services, and the pods of one release."""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubeflow_rig import killing, workflow
from kubeflow_rig import stub as stub_of_image
from kubeflow_rig.pods import Pods
from kubeflow_rig.release import Release
from kubeflow_rig.services import Services
from kubeflow_rig.status import Json, Report, nobody
from kubeflow_rig.workflow import Outcome

ROOT = "minio://mlpipeline/v2/artifacts"


class Cluster:
    """One namespace of a cluster.

    Args:
        release: Release of Kubeflow Pipelines.
        folder: Folder for the files of its services and pods.
        services: Its services; None for new :class:`Services`.

    Attributes:
        release: Release of Kubeflow Pipelines.
        services: Its services.
        pods: Runs its pods.
    """

    def __init__(self, release: Release, folder: Path, services: Services | None = None) -> None:
        self.release = release
        self.services = services or Services(folder)
        self.pods = Pods(release, self.services, folder)

    def workflow(self, package: str, parameters: Mapping[str, Any] | None = None, *, root: str = ROOT) -> Any:
        """Compiles a package to the Workflow of a run."""
        return self.release.compiled(package, parameters, root=root, run_id=str(uuid.uuid4()))

    def run(
        self,
        package: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        root: str = ROOT,
        **how: Any,
    ) -> Outcome:
        """Runs a package.

        Args:
            package: Text of the package.
            parameters: Runtime parameters.
            root: The pipeline root; empty for that of the ConfigMap ``kfp-launcher``.
            how: Further arguments of :meth:`run_workflow`.
        """
        return self.run_workflow(self.workflow(package, parameters, root=root), **how)

    def run_workflow(
        self,
        compiled: Json,
        *,
        at_most: int | None = None,
        stub: Mapping[str, Mapping[str, Any]] | None = None,
        killed: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        report: Report = nobody,
    ) -> Outcome:
        """Runs a Workflow.

        Args:
            compiled: The Workflow.
            at_most: Number of pods after which the run ends.
            stub: Behaviour of nodes whose image has :mod:`kubeflow_rig.stub` instead of the project; None for the
                project.
            killed: Nodes whose first attempt is killed, with the text in their logs at which they are killed.
            environment: Further environment variables of every container.
            report: Is called with the Workflow's status whenever it changes.
        """
        pods = replace(self.pods, environment=environment or {})
        if stub is not None:
            pods = _with_stub(pods, stub)
        elif killed:
            pods = _with_killing(pods, killed)
        return workflow.run(compiled, pods, at_most=at_most, report=report)

    def close(self) -> None:
        """Stops the services."""
        self.services.close()


def _with_stub(pods: Pods, behaviour: Mapping[str, Mapping[str, Any]]) -> Pods:
    stubbed = _with_python(pods, f'exec {sys.base_prefix}/bin/python3 -I -S {stub_of_image.__file__} "$@"')
    return replace(stubbed, environment={**pods.environment, "STUB": json.dumps(behaviour)})


def _with_killing(pods: Pods, killed: Mapping[str, str]) -> Pods:
    lines = [
        f"""case "$*" in *"--tfx_node_id {node} "*) """
        f"""exec {sys.executable} {killing.__file__} {shlex.quote(text)} {sys.executable} "$@";; esac"""
        for node, text in killed.items()
    ]
    return _with_python(pods, *lines, f'exec {sys.executable} "$@"')


def _with_python(pods: Pods, *lines: str) -> Pods:
    """Pods whose ``python`` is a shell script."""
    folder = pods.folder / "image"
    folder.mkdir(exist_ok=True)
    python = folder / "python"
    python.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    python.chmod(0o755)
    return replace(pods, image=folder)
