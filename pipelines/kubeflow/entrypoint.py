"""What a task of a Kubeflow package runs: TFX's container entrypoint, with what the backend hands over put right.

TFX's own entrypoint (``kubeflow_v2_run_executor``) is made for Vertex AI. The open-source backend hands it input
artifacts without types, URIs of an object store whose files its launcher has put under ``/minio``, ``/s3`` or ``/gcs``,
an output of its own for logs, and metadata in forms that TFX does not write; and it refuses outputs with empty values
(kubeflow/pipelines, ``backend/src/v2``: ``component/launcher_v2.go``, ``driver/driver.go``,
``metadata/converter.go``). What it hands over is translated here in front of the entrypoint, and the entrypoint's
answer behind it. The driver of a file-based ExampleGen, which this backend never runs, is run here, too.

Only the standard library is imported, and what imports no more, so that nothing is loaded twice.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compressor_lib.support.processes import module_command
from pipelines.kubeflow.locations import Locations
from pipelines.kubeflow.news import NEW_DATA, ONLY_NEW, PUSH_DIRECTORY, YES
from pipelines.kubeflow.shown_parameters import with_values
from pipelines.stopping import held_back, interrupts

ROOT = "COMPRESSOR_MOUNTS_ROOT"
"""Environment variable with the folder below which the launcher puts files; ``/`` if it is not set, as in a cluster."""

HTML = "system.HTML"
"""The type of what the platforms show as a page. There it is a file; for TFX it is a folder that holds one."""
PAGE = "report.html"

LOGS = "executor-logs"
"""The output that the backend adds to each task's own."""

_DRIVER = "pipelines.kubeflow.example_gen_driver"
_EXECUTOR = "pipelines.kubeflow.executor"
_NEWS = "pipelines.kubeflow.news"
_PUSHER = "components.pusher.executor.Executor"
_EVALUATOR = "components.evaluator.executor.Executor"
_REPORT = {"schemaTitle": "components.RunReport"}
_UNTOLD = ("display_name", "store_session_info")  # the backend's own notes on an artifact

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}")

Json = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one task; the exit status is that of TFX's entrypoint, or tells of the signal that stopped it."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.entrypoint", description=__doc__)
    parser.add_argument(
        "--tfx_node_id", required=True, help="Tells tasks apart, which the backend does by their command."
    )
    parser.add_argument("--run_driver", action="store_true", help="Resolve the span of a file-based ExampleGen first.")
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    known, beam = parser.parse_known_args(arguments)
    with interrupts() as signals:
        try:
            return _task(known, beam)
        except KeyboardInterrupt:
            print(
                f"stopped: node {known.tfx_node_id} did not finish, and nothing of it is used; what other tasks made "
                "is kept: a retry, or the same run once more, goes on from there",
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
    answer = Path(task["outputs"]["outputFile"])
    answer.unlink(missing_ok=True)
    given = [
        "--json_serialized_invocation_args", json.dumps(task),
        "--json_serialized_inputs_spec_args", known.json_serialized_inputs_spec_args,
        *beam,
    ]  # fmt: skip
    resolved: Json = {}
    if known.run_driver:
        status = _run(_DRIVER, given)
        if status:
            return status
        resolved = json.loads(answer.read_text())
    said = resolved.pop("parameterValues", {})
    new_data = said.pop(NEW_DATA, YES)
    if new_data == YES:
        task["inputs"]["parameterValues"].update(said)
        given[1] = json.dumps(task)
        status = _run(_EXECUTOR, ["--executor_class_path", known.executor_class_path, *given])
        if status:
            return status
    else:
        print("nothing is new since the last run: this one ends here")
    for output in outputs.values():
        locations.publish(Path(output["artifacts"][0]["uri"]))
    told = finished(json.loads(answer.read_text()), resolved.get("artifacts", {}), locations)
    for name, output in outputs.items():
        if output["artifacts"][0]["type"] == _REPORT:
            told["artifacts"][name]["artifacts"][0]["uri"] += f"/{PAGE}"
    if known.run_driver:
        told["parameterValues"] = {NEW_DATA: new_data}
    wrong = _what_is_wrong(told, outputs, known.executor_class_path)
    if wrong:
        print(f"error: node {known.tfx_node_id}: {wrong}", file=sys.stderr)
        return 1
    draft = answer.with_suffix(".draft")
    draft.write_text(json.dumps(told))
    draft.replace(answer)
    values = task["inputs"]["parameterValues"]
    if known.executor_class_path == _PUSHER and values.get(ONLY_NEW):
        return _run(_NEWS, [values[PUSH_DIRECTORY]])
    return 0


def prepared(task: Json, inputs_spec: Json, locations: Locations) -> Json:
    """An ExecutorInput of the backend as TFX's entrypoint understands it.

    Args:
        task: The ExecutorInput, as protojson.
        inputs_spec: The component's ComponentInputsSpec, likewise; it knows the inputs' types.
        locations: Takes note of what lies where.
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
        "type": of_spec or given,  # kfp.local tells the most general one of every input
        "uri": locations.local(artifact["uri"]),
        "metadata": {
            name: _unwrapped(value)
            for name, value in metadata.items()
            if value is not None and name not in _UNTOLD
        },
    }  # fmt: skip


def _made(artifact: Json, locations: Locations) -> Json:
    ready = _prepared(artifact, locations)
    return {**ready, "type": _REPORT} if ready["type"].get("schemaTitle") == HTML else ready


def _without_placeholders(values: Json) -> Json:
    """Execution parameters with the values of the runtime parameters that :mod:`.parameters` put into them."""

    def value_of(found: re.Match[str]) -> str:
        value = values[found[1]]
        # It stands in a JSON text: as a number, or inside quotes.
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    return {
        name: _PLACEHOLDER.sub(value_of, value) if isinstance(value, str) else value for name, value in values.items()
    }


def _unwrapped(value: Any) -> Any:
    """The store keeps lists and structs in a struct of one field, and does not take them out again."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in ("list", "struct"):
            return inner
    return value


def finished(answer: Json, resolved: Json, locations: Locations) -> Json:
    """An ExecutorOutput of TFX's entrypoint as the backend takes it.

    Args:
        answer: The ExecutorOutput, as protojson.
        resolved: What the driver said of artifacts, by output.
        locations: Knows what lies where.
    """
    artifacts = {}
    for name, given in answer.get("artifacts", {}).items():
        first = given["artifacts"][0]  # the backend looks at no other
        (driven,) = resolved.get(name, {}).get("artifacts", [{}])[:1]
        # The driver's span is a custom property beside the typed one of that name, which later nodes read.
        found = {key.removeprefix("custom:"): value for key, value in driven.get("metadata", {}).items()}
        metadata = {**found, **first.get("metadata", {})}
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
    return {**answer, "artifacts": artifacts}


def _storable(value: Any, locations: Locations) -> Any:
    if isinstance(value, str):
        return locations.remote(value)
    return json.dumps(value) if isinstance(value, Mapping | list) else value


def _what_is_wrong(answer: Json, outputs: Json, executor: str) -> str:
    """Why the backend, or the next node, would not do with an answer; empty where they would."""
    told = answer["artifacts"]
    if told.keys() != outputs.keys():
        return f"its executor told of {', '.join(told) or 'nothing'}, where {', '.join(outputs)} are declared"
    if executor == _EVALUATOR and "blessed" not in told["blessing"]["artifacts"][0]["metadata"]:
        return "the Evaluator has not said whether the model is blessed"
    return ""


def _run(module: str, arguments: Sequence[str]) -> int:
    """Runs a module. When this task is stopped, it is ended at once, for nothing that it wrote counts yet."""
    process = None
    try:
        with held_back():
            process = subprocess.Popen([*module_command(module), *arguments])
        return process.wait()
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
