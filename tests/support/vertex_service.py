"""A stand-in for Vertex AI Pipelines that runs a compiled package, task by task, on this machine.

Vertex passes typed artifacts to a container, runs the driver of a file-based ExampleGen (``preCacheCheck``) before it,
and mounts Cloud Storage. Here a folder stands for Cloud Storage: ``gs://`` in a command's arguments becomes a path in
that folder, and the path becomes ``gs://`` again in its response. So this does *not* test that TensorFlow and Beam can
read ``gs://`` themselves.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeflow_backend import (
    Done,
    Json,
    Package,
    answer_in,
    command_of,
    in_order,
    load,
    merge,
    resolved,
    root_values,
)
from kubeflow_pod import execute
from warm_process import run_module

SCHEME = "gs://"


class VertexService:
    """A project with Cloud Storage and artifacts."""

    def __init__(self, folder: Path) -> None:
        """Sets up the project.

        Args:
            folder: Folder that stands for Cloud Storage; a bucket is a folder in it.
        """
        self.folder = folder
        self.environment = dict(os.environ)
        self._artifacts = 0

    def run(self, job: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Done]:
        """Runs a PipelineJob, given as JSON; returns the outcomes of the tasks by name, in order."""
        described = json.loads(job)
        # The PipelineSpec has the same form as Kubeflow's.
        package = load(json.dumps(described["pipelineSpec"]))
        root = described["runtimeConfig"]["gcsOutputDirectory"]
        values = root_values(package, parameters or {})
        done: dict[str, Done] = {}
        for name in in_order(package):
            done[name] = self._task(package, name, values, done, f"{root}/123/run/{name}_456")
        return done

    def _task(self, package: Package, name: str, values: Json, done: Mapping[str, Done], folder: str) -> Done:
        component, container = package.components[package.hashes[name]]
        inputs = resolved(name, package.tasks[name], component, values, done)
        inputs["parameterValues"] = _filled(inputs["parameterValues"])
        declared = component.get("outputDefinitions", {}).get("artifacts", {})
        types = {key: given["artifactType"] for key, given in declared.items()}
        outputs = {key: {"name": key, "type": kind, "uri": f"{folder}/{key}"} for key, kind in types.items()}
        driver = container.get("lifecycle", {}).get("preCacheCheck")
        for program in (driver, container) if driver else (container,):
            given = {
                "inputs": inputs,
                "outputs": {
                    "artifacts": {key: {"artifacts": [artifact]} for key, artifact in outputs.items()},
                    "outputFile": f"{folder}/executor_output.json",
                },
            }
            answer = self._answer(name, program, given)
            inputs["parameterValues"].update(answer.get("parameterValues", {}))
            for key, said in answer.get("artifacts", {}).items():
                merge(said["artifacts"][0], outputs[key])
        for artifact in outputs.values():
            self._artifacts += 1
            artifact["name"] = f"projects/1/locations/here/metadataStores/default/artifacts/{self._artifacts}"
        return Done(outputs, {}, False, 0.0)

    def _answer(self, name: str, container: Json, given: Json) -> Json:
        command = [argument.replace(SCHEME, f"{self.folder}/") for argument in command_of(name, container, given)]
        with tempfile.TemporaryDirectory() as local:
            execute(name, command, Path(local), self.environment, start=run_module)
        file = Path(given["outputs"]["outputFile"].replace(SCHEME, f"{self.folder}/"))
        answer: Json = json.loads(json.dumps(answer_in(file)).replace(f"{self.folder}/", SCHEME))
        file.unlink(missing_ok=True)
        return answer


def _filled(values: Json) -> Json:
    """Fills the placeholders in constants with parameters, as Vertex AI does."""
    filled = dict(values)
    for key, value in values.items():
        for other, given in values.items():
            if isinstance(value, str):
                text = given if isinstance(given, str) else json.dumps(given)
                value = value.replace(f"{{{{$.inputs.parameters['{other}']}}}}", text)
        filled[key] = value
    return filled
