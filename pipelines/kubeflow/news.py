"""Stops a run on Kubeflow that finds no new data, as caches do elsewhere.

There the first node cannot be cached, for the backend runs no drivers. So it says by an output parameter whether there
is anything new, and the nodes behind it run on that condition; what waits for these is left out with them, and the run
is a success. What was seen last is noted beside the pushed models: by the first node in :data:`SEEN_PENDING`, and in
:data:`SEEN` once the last node has run, so that a run that failed is not the last word.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

ONLY_NEW = "only_new_data"
"""Runtime parameter: 1 to stop where there is nothing new."""
NEW_DATA = "new_data"
"""The first node's output parameter."""
YES, NO = "yes", "no"

PUSH_DIRECTORY = "push_directory"
SEEN = ".data-seen"
SEEN_PENDING = ".data-seen.pending"
"""Files in the push directory, with a hash of the data. Serving looks at folders whose names are numbers alone."""

Json = dict[str, Any]


def stop_without_news(spec: Json, example_gen: str) -> None:
    """Gives a PipelineSpec the runtime parameter :data:`ONLY_NEW`, in place.

    Args:
        spec: Of schema 2.1.0, with the runtime parameter ``push_directory``.
        example_gen: Id of the first node.
    """
    tasks = spec["root"]["dag"]["tasks"]
    spec["root"]["inputDefinitions"]["parameters"][ONLY_NEW] = {"parameterType": "NUMBER_INTEGER", "defaultValue": 0}
    for node in (example_gen, "Pusher"):
        for name in (ONLY_NEW, PUSH_DIRECTORY):
            kind = spec["root"]["inputDefinitions"]["parameters"][name]["parameterType"]
            _give(spec, node, name, kind, {"componentInputParameter": name})
    component = spec["components"][tasks[example_gen]["componentRef"]["name"]]
    component["outputDefinitions"].setdefault("parameters", {})[NEW_DATA] = {"parameterType": "STRING"}
    said = {"taskOutputParameter": {"producerTask": example_gen, "outputParameterKey": NEW_DATA}}
    for node, task in tasks.items():
        sources = task.get("inputs", {}).get("artifacts", {}).values()
        if any(source["taskOutputArtifact"]["producerTask"] == example_gen for source in sources):
            _give(spec, node, NEW_DATA, "STRING", said)
            task["triggerPolicy"] = {"condition": f"inputs.parameter_values['{NEW_DATA}'] == '{YES}'"}


def _give(spec: Json, node: str, name: str, kind: str, source: Json) -> None:
    task = spec["root"]["dag"]["tasks"][node]
    task["inputs"].setdefault("parameters", {})[name] = source
    inputs = spec["components"][task["componentRef"]["name"]].setdefault("inputDefinitions", {})
    inputs.setdefault("parameters", {})[name] = {"parameterType": kind}


def main(arguments: Sequence[str] | None = None) -> None:
    """Notes that a run came to its end."""
    from tfx.dsl.io import fileio

    import components  # noqa: F401  - registers object stores

    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.news", description=__doc__)
    parser.add_argument("push_directory")
    folder = parser.parse_args(arguments).push_directory
    if fileio.exists(os.path.join(folder, SEEN_PENDING)):
        fileio.rename(os.path.join(folder, SEEN_PENDING), os.path.join(folder, SEEN), overwrite=True)


if __name__ == "__main__":
    from pipelines.kubeflow.executor import redact_output

    redact_output()
    main()
