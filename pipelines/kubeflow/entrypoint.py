"""Entrypoint of a Kubeflow package's tasks: TFX's container entrypoint, with its input and output translated.

TFX's own entrypoint (``kubeflow_v2_run_executor``) is made for Vertex AI. The open-source backend differs: it passes
input artifacts without types, URIs of an object store whose files its launcher copied to ``/minio``, ``/s3`` or
``/gcs``, an additional output for logs, and metadata in forms that TFX does not write. It refuses outputs with empty
values (kubeflow/pipelines, ``backend/src/v2``: ``component/launcher_v2.go``, ``driver/driver.go``,
``metadata/converter.go``). This module translates the task before TFX's entrypoint runs, and its response afterwards.
The backend never runs the driver of a file-based ExampleGen. It runs as a node of its own
(:mod:`pipelines.kubeflow.new_data`), and this module adds that node's findings to the Examples.

The module imports only the standard library and modules that do the same, so that nothing is loaded twice.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compressor_lib.support.processes import module_command
from pipelines.execution.signals import held_back, interrupts
from pipelines.kubeflow.locations import Locations
from pipelines.kubeflow.new_data import FINGERPRINT, ONLY_NEW, PUSH_DIRECTORY, SPAN, VERSION
from pipelines.kubeflow.shown_parameters import with_values

ROOT = "COMPRESSOR_MOUNTS_ROOT"
"""Environment variable for the folder below which the launcher puts files; if unset, ``/``, as in a cluster."""

ENDPOINT = "COMPRESSOR_S3_ENDPOINT"
ACCESS_KEY = "COMPRESSOR_S3_ACCESS_KEY"
SECRET_KEY = "COMPRESSOR_S3_SECRET_KEY"
"""Environment variables of a task that accesses an object store itself: the store's URL, and its keys.

The launcher has the same environment. Under Amazon's names, it would use them for the pipeline root's store.
"""

HTML = "system.HTML"
"""Type of artifacts that platforms show as a page. For platforms it is a file; for TFX, a folder with the file."""
PAGE = "report.html"

CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals that kill libraries whose threads still run when the interpreter exits (``pure virtual method called``)."""

LOGS = "executor-logs"
"""The output that the backend adds to those of each task."""

_EXECUTOR = "pipelines.kubeflow.executor"
_PROBE = "pipelines.kubeflow.probe"
_NEW_DATA = "pipelines.kubeflow.new_data"
_PUSHER = "components.pusher.executor.Executor"
_EVALUATOR = "components.evaluator.executor.Executor"
_EXAMPLES = "examples"
_REPORT = {"schemaTitle": "components.RunReport"}
_OF_BACKEND = ("display_name", "store_session_info")  # metadata that the backend adds to an artifact

_AWS = {ENDPOINT: "AWS_ENDPOINT_URL", ACCESS_KEY: "AWS_ACCESS_KEY_ID", SECRET_KEY: "AWS_SECRET_ACCESS_KEY"}
# Variables that would override the endpoint, or belong to other keys.
_OVERRULED = {ENDPOINT: ("AWS_ENDPOINT_URL_S3",), ACCESS_KEY: ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")}

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}")

Json = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one task; returns the exit status of TFX's entrypoint, or 128 plus the signal that stopped it."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.entrypoint", description=__doc__)
    parser.add_argument(
        "--tfx_node_id", required=True, help="Makes commands differ, because the backend distinguishes tasks by them."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--executor_class_path")
    what.add_argument("--probe", action="store_true", help="Look for new data instead of running an executor.")
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    known, beam = parser.parse_known_args(arguments)
    with interrupts() as signals:
        try:
            return _task(known, beam)
        except KeyboardInterrupt:
            print(
                f"stopped: node {known.tfx_node_id} did not finish, and its output is discarded; finished nodes are "
                "kept: retry the run, or start it again, to resume",
                file=sys.stderr,
            )
            return 128 + signals[0]


def _task(known: argparse.Namespace, beam: Sequence[str]) -> int:
    locations = Locations(os.environ.get(ROOT, "/"))
    task = prepared(
        json.loads(known.json_serialized_invocation_args), json.loads(known.json_serialized_inputs_spec_args), locations
    )
    outputs = task["outputs"]["artifacts"]
    for output in outputs.values():
        Path(output["artifacts"][0]["uri"]).mkdir(parents=True, exist_ok=True)
    output_file = Path(task["outputs"]["outputFile"])
    output_file.parent.mkdir(parents=True, exist_ok=True)
    output_file.unlink(missing_ok=True)
    given = [
        "--json_serialized_invocation_args", json.dumps(task),
        "--json_serialized_inputs_spec_args", known.json_serialized_inputs_spec_args,
        *beam,
    ]  # fmt: skip
    if known.probe:
        status = _run(_PROBE, given)
    else:
        status = _run(_EXECUTOR, ["--executor_class_path", known.executor_class_path, *given])
    if status and not (-status in CRASHES and _is_whole(output_file)):
        return status
    for output in outputs.values():
        locations.publish(Path(output["artifacts"][0]["uri"]))
    values = task["inputs"]["parameterValues"]
    response = finished(json.loads(output_file.read_text()), _of_examples(values), locations)
    for name, output in outputs.items():
        if output["artifacts"][0]["type"] == _REPORT:
            response["artifacts"][name]["artifacts"][0]["uri"] += f"/{PAGE}"
    wrong = _what_is_wrong(response, task["outputs"], known.executor_class_path)
    if wrong:
        print(f"error: node {known.tfx_node_id}: {wrong}", file=sys.stderr)
        return 1
    if status:
        print(
            f"warning: the process of node {known.tfx_node_id} died of {signal.Signals(-status).name} on exit, after "
            "it had written all its outputs: this is ignored",
            file=sys.stderr,
        )
    draft = output_file.with_suffix(".draft")
    draft.write_text(json.dumps(response))
    draft.replace(output_file)
    if known.executor_class_path == _PUSHER and values.get(ONLY_NEW):
        return _run(_NEW_DATA, [values[PUSH_DIRECTORY]])
    return 0


def prepared(task: Json, inputs_spec: Json, locations: Locations) -> Json:
    """Translates the backend's ExecutorInput into the form that TFX's entrypoint understands.

    Args:
        task: The ExecutorInput, as protojson.
        inputs_spec: The component's ComponentInputsSpec, as protojson, which has the types of the inputs.
        locations: Records the local path of each URI.
    """
    inputs, outputs = task.get("inputs", {}), task["outputs"]
    types = {name: spec["artifactType"] for name, spec in inputs_spec.get("artifacts", {}).items()}
    return {
        **task,
        "inputs": {
            **inputs,
            "parameterValues": with_values(_without_placeholders(inputs.get("parameterValues", {}))),
            "artifacts": {
                name: {"artifacts": [_prepared(one, locations, types[name]) for one in given.get("artifacts", [])]}
                for name, given in inputs.get("artifacts", {}).items()
            },
        },
        "outputs": {
            "outputFile": locations.local(outputs["outputFile"]),
            "parameters": outputs.get("parameters", {}),
            "artifacts": {
                name: {"artifacts": [{"name": name, **_made(one, locations)} for one in given["artifacts"]]}
                for name, given in outputs.get("artifacts", {}).items()
                if name != LOGS
            },
        },
    }


def _prepared(artifact: Json, locations: Locations, of_spec: Json | None = None) -> Json:
    given = {name: value for name, value in artifact.get("type", {}).items() if value}
    metadata = artifact.get("metadata", {})
    return {
        **artifact,
        "type": of_spec or given,  # kfp.local gives the most general type for every input
        "uri": locations.local(artifact["uri"]),
        "metadata": {
            name: _unwrapped(value)
            for name, value in metadata.items()
            if value is not None and name not in _OF_BACKEND
        },
    }  # fmt: skip


def _made(artifact: Json, locations: Locations) -> Json:
    ready = _prepared(artifact, locations)
    return {**ready, "type": _REPORT} if ready["type"].get("schemaTitle") == HTML else ready


def _without_placeholders(values: Json) -> Json:
    """Fills in the placeholders of runtime parameters that :mod:`.parameters` put into execution parameters."""

    def value_of(found: re.Match[str]) -> str:
        value = values[found[1]]
        # The placeholder is in a JSON text: in place of a number, or inside quotes.
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    return {
        name: _PLACEHOLDER.sub(value_of, value) if isinstance(value, str) else value for name, value in values.items()
    }


def _unwrapped(value: Any) -> Any:
    """Unwraps lists and structs, which the metadata store returns inside a struct with one field."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in ("list", "struct"):
            return inner
    return value


def finished(response: Json, found: Mapping[str, Json], locations: Locations) -> Json:
    """Translates the ExecutorOutput of TFX's entrypoint into the form that the backend accepts.

    Args:
        response: The ExecutorOutput, as protojson.
        found: Further metadata of artifacts, by output.
        locations: Maps local paths back to URIs.
    """
    artifacts = {}
    for name, given in response.get("artifacts", {}).items():
        first = given["artifacts"][0]  # the backend ignores the others
        metadata = {**found.get(name, {}), **first.get("metadata", {})}
        artifacts[name] = {
            "artifacts": [
                {
                    **first,
                    "uri": locations.remote(first["uri"]),
                    "metadata": {
                        key: _storable(value, locations) for key, value in metadata.items() if value is not None
                    },
                }
            ]
        }
    return {**response, "artifacts": artifacts}


def _of_examples(values: Json) -> dict[str, Json]:
    """The metadata of an ExampleGen's output that a driver would set, from the parameters that NewData found."""
    if FINGERPRINT not in values:
        return {}
    version = {VERSION: int(values[VERSION])} if values[VERSION] else {}
    return {_EXAMPLES: {SPAN: values[SPAN], FINGERPRINT: values[FINGERPRINT], **version}}


def _storable(value: Any, locations: Locations) -> Any:
    if isinstance(value, str):
        return locations.remote(value)
    return json.dumps(value) if isinstance(value, Mapping | list) else value


def _is_whole(output_file: Path) -> bool:
    """Whether an executor completed: it writes its response last."""
    try:
        return isinstance(json.loads(output_file.read_text()), dict)
    except (FileNotFoundError, ValueError):
        return False


def _what_is_wrong(response: Json, outputs: Json, executor: str | None) -> str:
    """Why the backend or the next node could not use a response; empty if they could."""
    for kind, written in (("artifacts", response["artifacts"]), ("parameters", response.get("parameterValues", {}))):
        declared = outputs.get(kind, {})
        if written.keys() != declared.keys():
            return f"its executor wrote {', '.join(written) or 'nothing'} instead of the declared {', '.join(declared)}"
    if executor == _EVALUATOR and "blessed" not in response["artifacts"]["blessing"]["artifacts"][0]["metadata"]:
        return "the Evaluator did not record whether the model is blessed"
    return ""


def for_clients(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment with the task's store and keys under the names that S3 clients read.

    Args:
        environment: The task's environment.
    """
    ready = dict(environment)
    for own, name in _AWS.items():
        if value := ready.pop(own, ""):
            ready[name] = value
            for other in _OVERRULED.get(own, ()):
                ready.pop(other, None)
    return ready


def _run(module: str, arguments: Sequence[str]) -> int:
    """Runs a module in a child process, which is killed if this task is stopped, because its output is unused then."""
    process = None
    try:
        with held_back():
            process = subprocess.Popen([*module_command(module), *arguments], env=for_clients(os.environ))
        return process.wait()
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
