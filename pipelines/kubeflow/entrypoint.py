"""What a task of a Kubeflow package runs: TFX's container entrypoint, with what the backend hands over put right.

TFX's own entrypoint (``kubeflow_v2_run_executor``) is made for Vertex AI. The open-source backend hands it input
artifacts without types, URIs of an object store whose files its launcher has put under ``/minio``, ``/s3`` or ``/gcs``,
an output of its own for logs, and metadata in forms that TFX does not write; and it refuses outputs with empty values
(kubeflow/pipelines, ``backend/src/v2``: ``component/launcher_v2.go``, ``driver/driver.go``,
``metadata/converter.go``). What it hands over is translated here in front of the entrypoint, and the entrypoint's
answer behind it. The driver of a file-based ExampleGen, which this backend never runs, has run as a node of its own
(:mod:`pipelines.kubeflow.new_data`), and what that found is told of the Examples here.

Only the standard library is imported, and what imports no more, so that nothing is loaded twice.
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
"""Environment variable with the folder below which the launcher puts files; ``/`` if it is not set, as in a cluster."""

ENDPOINT = "COMPRESSOR_S3_ENDPOINT"
ACCESS_KEY = "COMPRESSOR_S3_ACCESS_KEY"
SECRET_KEY = "COMPRESSOR_S3_SECRET_KEY"
"""Environment variables of a task that uses an object store by itself: where that is, and the keys to it.

The launcher has the same environment. Under Amazon's names it would take them for those of the pipeline root's store.
"""

HTML = "system.HTML"
"""The type of what the platforms show as a page. There it is a file; for TFX it is a folder that holds one."""
PAGE = "report.html"

CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""What libraries die of when an interpreter exits and their threads go on (``pure virtual method called``)."""

LOGS = "executor-logs"
"""The output that the backend adds to each task's own."""

_EXECUTOR = "pipelines.kubeflow.executor"
_PROBE = "pipelines.kubeflow.probe"
_NEWS = "pipelines.kubeflow.new_data"
_PUSHER = "components.pusher.executor.Executor"
_EVALUATOR = "components.evaluator.executor.Executor"
_EXAMPLES = "examples"
_REPORT = {"schemaTitle": "components.RunReport"}
_UNTOLD = ("display_name", "store_session_info")  # the backend's own notes on an artifact

_AWS = {ENDPOINT: "AWS_ENDPOINT_URL", ACCESS_KEY: "AWS_ACCESS_KEY_ID", SECRET_KEY: "AWS_SECRET_ACCESS_KEY"}
# What goes before an endpoint, or belongs to other keys.
_OVERRULED = {ENDPOINT: ("AWS_ENDPOINT_URL_S3",), ACCESS_KEY: ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")}

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(\w+)'\]\}\}")

Json = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one task; the exit status is that of TFX's entrypoint, or tells of the signal that stopped it."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.entrypoint", description=__doc__)
    parser.add_argument(
        "--tfx_node_id", required=True, help="Tells tasks apart, which the backend does by their command."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--executor_class_path")
    what.add_argument("--probe", action="store_true", help="Look for new data, in place of an executor.")
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
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
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.unlink(missing_ok=True)
    given = [
        "--json_serialized_invocation_args", json.dumps(task),
        "--json_serialized_inputs_spec_args", known.json_serialized_inputs_spec_args,
        *beam,
    ]  # fmt: skip
    if known.probe:
        status = _run(_PROBE, given)
    else:
        status = _run(_EXECUTOR, ["--executor_class_path", known.executor_class_path, *given])
    if status and not (-status in CRASHES and _is_whole(answer)):
        return status
    for output in outputs.values():
        locations.publish(Path(output["artifacts"][0]["uri"]))
    values = task["inputs"]["parameterValues"]
    told = finished(json.loads(answer.read_text()), _of_examples(values), locations)
    for name, output in outputs.items():
        if output["artifacts"][0]["type"] == _REPORT:
            told["artifacts"][name]["artifacts"][0]["uri"] += f"/{PAGE}"
    wrong = _what_is_wrong(told, task["outputs"], known.executor_class_path)
    if wrong:
        print(f"error: node {known.tfx_node_id}: {wrong}", file=sys.stderr)
        return 1
    if status:
        print(
            f"warning: node {known.tfx_node_id} had done its work, and told of all of it, when its process died of "
            f"{signal.Signals(-status).name} on its way out: it is not failed for that",
            file=sys.stderr,
        )
    draft = answer.with_suffix(".draft")
    draft.write_text(json.dumps(told))
    draft.replace(answer)
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


def finished(answer: Json, found: Mapping[str, Json], locations: Locations) -> Json:
    """An ExecutorOutput of TFX's entrypoint as the backend takes it.

    Args:
        answer: The ExecutorOutput, as protojson.
        found: What else is known of artifacts: metadata, by output.
        locations: Knows what lies where.
    """
    artifacts = {}
    for name, given in answer.get("artifacts", {}).items():
        first = given["artifacts"][0]  # the backend looks at no other
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
    return {**answer, "artifacts": artifacts}


def _of_examples(values: Json) -> dict[str, Json]:
    """What a driver tells of an ExampleGen's output, from what the node that looked for data told of it."""
    if FINGERPRINT not in values:
        return {}
    version = {VERSION: int(values[VERSION])} if values[VERSION] else {}
    return {_EXAMPLES: {SPAN: values[SPAN], FINGERPRINT: values[FINGERPRINT], **version}}


def _storable(value: Any, locations: Locations) -> Any:
    if isinstance(value, str):
        return locations.remote(value)
    return json.dumps(value) if isinstance(value, Mapping | list) else value


def _is_whole(answer: Path) -> bool:
    """Whether an executor came to its end: the last thing that it does is to write its answer."""
    try:
        return isinstance(json.loads(answer.read_text()), dict)
    except (FileNotFoundError, ValueError):
        return False


def _what_is_wrong(answer: Json, outputs: Json, executor: str | None) -> str:
    """Why the backend, or the next node, would not do with an answer; empty where they would."""
    for kind, told in (("artifacts", answer["artifacts"]), ("parameters", answer.get("parameterValues", {}))):
        declared = outputs.get(kind, {})
        if told.keys() != declared.keys():
            return f"its executor told of {', '.join(told) or 'nothing'}, where {', '.join(declared)} are declared"
    if executor == _EVALUATOR and "blessed" not in answer["artifacts"]["blessing"]["artifacts"][0]["metadata"]:
        return "the Evaluator has not said whether the model is blessed"
    return ""


def for_clients(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which clients of S3 find the task's store and keys by the names that they know.

    Args:
        environment: The task's.
    """
    ready = dict(environment)
    for own, name in _AWS.items():
        if value := ready.pop(own, ""):
            ready[name] = value
            for other in _OVERRULED.get(own, ()):
                ready.pop(other, None)
    return ready


def _run(module: str, arguments: Sequence[str]) -> int:
    """Runs a module. When this task is stopped, it is ended at once, for nothing that it wrote counts yet."""
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
