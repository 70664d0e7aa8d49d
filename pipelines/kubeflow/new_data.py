"""NewData, the first node on Kubeflow: it inspects the data and the pushed models, so that later nodes can be cached.

Kubeflow runs no drivers, and its cache key consists of a task's inputs. Therefore this node, which is never cached,
finds the newest spans and the pushed models, and passes them as parameters to the nodes that read them. It first checks
the values of all runtime parameters, because the platform's own page checks only their types. If nothing has changed,
those nodes are taken from the cache. It also reports whether there is new data, which is the condition for the
ExampleGen to run; without it, the nodes that depend on it are skipped, and the run succeeds. The last seen data is
recorded beside the pushed models: by NewData in :data:`SEEN_PENDING`, and in :data:`SEEN` once each Pusher has run, so
that data of a failed run still counts as new.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Sequence
from typing import Any

from compressor_lib.deployment.family import member_of

NODE = "NewData"
"""ID of the node, which runs :mod:`pipelines.kubeflow.probe`."""

ONLY_NEW = "only_new_data"
"""Runtime parameter: 1 to end the run if there is no new data."""
PUSH_DIRECTORY = "push_directory"

NEW_DATA = "new_data"
SPAN, VERSION, FINGERPRINT, INPUT_CONFIG = "span", "version", "input_fingerprint", "input_config"
PREVIOUS_RUN, DEPLOYED_VERSION = "previous_run", "deployed_version"
NOTE = "note"  # the same as in components.warm_start.archive, which imports TFX
"""The node's output parameters."""
YES, NO = "yes", "no"

SEEN = ".data-seen"
SEEN_PENDING = ".data-seen.pending"
"""Files in the push directory with a hash of the data. Servers only read folders whose names are numbers."""

_KINDS = {
    **dict.fromkeys(
        (NEW_DATA, VERSION, FINGERPRINT, INPUT_CONFIG, PREVIOUS_RUN, NOTE, DEPLOYED_VERSION), "STRING"
    ),
    SPAN: "NUMBER_INTEGER",
}  # fmt: skip
_LOOKED_FOR = ("input_base", INPUT_CONFIG, "range_config")
_PUSHER = "Pusher"
_WRITERS = (_PUSHER, "Handover")
"""Nodes that write outside the pipeline in every run, and so must not be cached."""

Json = dict[str, Any]


def look_first(spec: Json, example_gen: str) -> None:
    """Adds the node to a PipelineSpec as the first one, in place.

    Args:
        spec: PipelineSpec of schema 2.1.0, without runtime parameters. The parameter :data:`ONLY_NEW` is added.
        example_gen: ID of the node that reads the data.
    """
    tasks = spec["root"]["dag"]["tasks"]
    gen = tasks[example_gen]
    executors = spec["deploymentSpec"]["executors"]
    component = spec["components"][gen["componentRef"]["name"]]
    container = executors[component["executorLabel"]]["container"]
    executors[f"{NODE}_executor"] = {
        "container": {
            "image": container["image"], "command": [], "args": ["--json_serialized_invocation_args", "{{$}}"]
        }
    }  # fmt: skip
    spec["components"][NODE] = {
        "executorLabel": f"{NODE}_executor",
        "outputDefinitions": {"parameters": {name: {"parameterType": kind} for name, kind in _KINDS.items()}},
    }
    tasks[NODE] = {"componentRef": {"name": NODE}, "inputs": {}, "taskInfo": {"name": NODE}}
    definitions = component["inputDefinitions"]["parameters"]
    for name in _LOOKED_FOR:
        if name in gen["inputs"]["parameters"]:
            _give(
                spec, NODE, name, definitions[name]["parameterType"], copy.deepcopy(gen["inputs"]["parameters"][name])
            )
    if "range_config" in definitions:
        del definitions["range_config"], gen["inputs"]["parameters"]["range_config"]

    root = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    root[ONLY_NEW] = {"parameterType": "NUMBER_INTEGER", "defaultValue": 0}
    *others, last = (node for node in tasks if member_of(node)[0] == _PUSHER)
    if others:  # the data is recorded once all models of a family have been pushed or refused
        tasks[last]["dependentTasks"] = sorted({*tasks[last].get("dependentTasks", []), *others})
    for node in (NODE, last):
        _give(spec, node, ONLY_NEW, "NUMBER_INTEGER", {"componentInputParameter": ONLY_NEW})

    readers = {
        example_gen: (NEW_DATA, SPAN, VERSION, FINGERPRINT, INPUT_CONFIG),
        "PreviousRun": (PREVIOUS_RUN,),
        "DeployedModel": (DEPLOYED_VERSION,),
        "Handover": (NOTE,),
    }
    for node in list(tasks):
        base, _ = member_of(node)
        if base not in readers:
            continue
        for name in readers[base]:
            source = {"taskOutputParameter": {"producerTask": NODE, "outputParameterKey": name}}
            _give(spec, node, name, _KINDS[name], source)
        tasks[node]["dependentTasks"] = sorted({*tasks[node].get("dependentTasks", []), NODE})
    gen["triggerPolicy"] = {"condition": f"inputs.parameter_values['{NEW_DATA}'] == '{YES}'"}
    for node, task in tasks.items():
        if member_of(node)[0] in _WRITERS:
            task.pop("cachingOptions", None)


def _give(spec: Json, node: str, name: str, kind: str, source: Json) -> None:
    task = spec["root"]["dag"]["tasks"][node]
    task["inputs"].setdefault("parameters", {})[name] = source
    inputs = spec["components"][task["componentRef"]["name"]].setdefault("inputDefinitions", {})
    inputs.setdefault("parameters", {})[name] = {"parameterType": kind}


def main(arguments: Sequence[str] | None = None) -> None:
    """Records that a run completed."""
    from tfx.dsl.io import fileio

    import components  # noqa: F401  - registers object stores

    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.new_data", description=__doc__)
    parser.add_argument("push_directory")
    folder = parser.parse_args(arguments).push_directory
    if fileio.exists(os.path.join(folder, SEEN_PENDING)):
        fileio.rename(os.path.join(folder, SEEN_PENDING), os.path.join(folder, SEEN), overwrite=True)


if __name__ == "__main__":
    from pipelines.kubeflow.executor import redact_output

    redact_output()
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the record is written; skips the interpreter's exit, at which libraries may crash
