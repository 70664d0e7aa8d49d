"""A stub for the project in the image: makes each output of a node, and a response, without TensorFlow.

``$STUB`` has JSON by node: ``dies`` (number of attempts to kill), and values of output parameters. ``$ATTEMPT`` is the
number of earlier attempts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

MOUNTS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}
MADE = "made-by"
"""The file in each output, which names the node."""

DEFAULTS = {"new_data": "yes", "span": 1}
"""Output parameters that are not text."""


def local(uri: str) -> Path:
    for scheme, mount in MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount, uri.removeprefix(scheme))
    return Path(uri)


def main(arguments: list[str]) -> None:
    node = arguments[arguments.index("--tfx_node_id") + 1]
    behaviour = json.loads(os.environ.get("STUB", "{}")).get(node, {})
    given = json.loads(arguments[arguments.index("--json_serialized_invocation_args") + 1])
    parameters = given.get("inputs", {}).get("parameterValues", {})
    print("stub:", json.dumps({"node": node, "user": os.getuid(), "parameters": parameters}))
    for key, one in given.get("inputs", {}).get("artifacts", {}).items():
        (artifact,) = one["artifacts"]
        print("stub: input", key, (local(artifact["uri"]) / MADE).read_text())
    artifacts: dict[str, Any] = {}
    for key, one in given["outputs"].get("artifacts", {}).items():
        if key == "executor-logs":
            continue
        (artifact,) = one["artifacts"]
        folder = local(artifact["uri"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MADE).write_text(f"{node}.{key}")
        artifacts[key] = {"artifacts": [{"name": key, "uri": artifact["uri"], "metadata": {"number": 1}}]}
    if int(os.environ["ATTEMPT"]) < behaviour.get("dies", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    values = {key: behaviour.get(key, DEFAULTS.get(key, "")) for key in given["outputs"].get("parameters", {})}
    response = {"artifacts": artifacts, "parameterValues": values}
    file = Path(given["outputs"]["outputFile"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(response))


if __name__ == "__main__":
    main(sys.argv)
