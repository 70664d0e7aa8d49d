"""What the node NewData runs: looks for the newest spans, and at the push directory, before anything is trained."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components.artifacts.pushed_versions import newest_version
from components.storage.listing import fingerprint
from components.warm_start.archive import HANDOVER, NEWEST, read_handover
from components.warm_start.pushed_classes import pushed_classes
from compressor_lib.errors import CompressorError, first_line
from pipelines.kubeflow.example_gen_driver import found_data
from pipelines.kubeflow.executor import redact_output
from pipelines.kubeflow.new_data import (
    DEPLOYED_VERSION,
    FINGERPRINT,
    INPUT_CONFIG,
    NEW_DATA,
    NO,
    NOTE,
    ONLY_NEW,
    PREVIOUS_RUN,
    PUSH_DIRECTORY,
    SEEN,
    SEEN_PENDING,
    SPAN,
    VERSION,
    YES,
)

Json = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes what it finds as the ExecutorOutput of a task; the exit status is 1 if the run could not end well."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.probe", description=__doc__)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    known, _ = parser.parse_known_args(arguments)
    task = json.loads(known.json_serialized_invocation_args)
    try:
        said = looked(task["inputs"]["parameterValues"])
    except CompressorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("there is new data" if said[NEW_DATA] == YES else "nothing is new since the last run: this one ends here")
    with open(task["outputs"]["outputFile"], "w") as file:
        json.dump({"parameterValues": said}, file)
    return 0


def looked(values: Json) -> Json:
    """What a run is to work on.

    Args:
        values: The node's parameters: ``input_base``, ``input_config`` and maybe ``range_config`` of the ExampleGen,
            ``push_directory``, and ``only_new_data``.

    Returns:
        The node's output parameters: the newest span, its version (empty if it has none), the data's fingerprint, and
        the input config without ``{SPAN}``; what PreviousRun and DeployedModel will find, in a few characters that
        change with it; what Handover is to note of this run; and ``new_data``, which is ``"no"`` where only new data
        is asked for and there is none.

    Raises:
        CompressorError: If there is no span, or the push directory cannot be read or written.
    """
    data = found_data(values["input_base"], values[INPUT_CONFIG], values.get("range_config"))
    directory = values[PUSH_DIRECTORY]
    classes = pushed_classes(directory)  # first, for it tells why it cannot read
    described = _digest(f"{data.span} {data.version} {data.fingerprint}")
    newest = newest_version(directory)
    previous = _previous_run(directory, described, classes, newest)
    only_new = bool(values[ONLY_NEW])
    is_new = not (only_new and _was_seen(directory, described))
    if is_new:
        _check_writable(directory)
        if only_new:
            io_utils.write_string_file(os.path.join(directory, SEEN_PENDING), described)
    return {
        SPAN: data.span,
        VERSION: "" if data.version is None else str(data.version),
        FINGERPRINT: data.fingerprint,
        INPUT_CONFIG: data.input_config,
        PREVIOUS_RUN: previous,
        NOTE: json.dumps([described, previous]),
        DEPLOYED_VERSION: newest,
        NEW_DATA: YES if is_new else NO,
    }


def _previous_run(directory: str, described: str, classes: Sequence[str], newest: str) -> str:
    """What a run starts from. The same run once more starts from the same, so that all of it comes from the cache."""
    about = read_handover(directory, {}) or {}
    data, previous = json.loads(about.get(NOTE) or "[null, null]")
    if data == described and about[NEWEST] == newest:  # nobody has pushed since
        return str(previous)
    exists = fileio.exists(os.path.join(directory, HANDOVER))
    return _digest(json.dumps([fingerprint(directory, [HANDOVER]) if exists else None, list(classes)]))


def _was_seen(directory: str, described: str) -> bool:
    """Whether the last run that came to its end had the same data."""
    seen = os.path.join(directory, SEEN)
    if not fileio.exists(seen):
        return False
    with fileio.open(seen) as file:
        return bool(file.read() == described)


def _check_writable(directory: str) -> None:
    """Refuses a push directory in which no file can be made and deleted, hours before a model is pushed there."""
    probe = os.path.join(directory, f".probe-{uuid.uuid4().hex}")
    try:
        fileio.makedirs(directory)
        io_utils.write_string_file(probe, "")
        fileio.remove(probe)
    except (OSError, tf.errors.OpError) as error:
        cause = first_line(error)
        raise CompressorError(
            f"push directory {directory!r} cannot be written to ({cause}): let the nodes (as user {os.getuid()}) make "
            "and delete files there, or set push.directory to another."
        ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


if __name__ == "__main__":
    redact_output()
    sys.exit(main())
