"""The program of the node NewData, which runs before anything is trained.

It checks the runtime parameters, finds the newest spans and reads the push directory.
"""

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

from components.artifacts.pushed_versions import newest_versions
from components.storage.listing import fingerprint
from components.warm_start.archive import HANDOVER, NEWEST, read_handover
from components.warm_start.pushed_classes import pushed_classes
from compressor_lib.errors import CompressorError, first_line
from pipelines.config.runtime_parameters import check_parameter
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
from pipelines.kubeflow.shown_parameters import CONFIG

Json = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the ExecutorOutput of a task; the exit status is 1 if the run would fail."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.kubeflow.probe", description=__doc__)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    known, _ = parser.parse_known_args(arguments)
    task = json.loads(known.json_serialized_invocation_args)
    try:
        found = looked(task["inputs"]["parameterValues"])
    except CompressorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("there is new data" if found[NEW_DATA] == YES else "there is no new data since the last run: this run ends")
    with open(task["outputs"]["outputFile"], "w") as file:
        json.dump({"parameterValues": found}, file)
    return 0


def looked(values: Json) -> Json:
    """Finds the data and the pushed models that a run is to use.

    Args:
        values: The node's parameters: ``input_base``, ``input_config`` and optionally ``range_config`` of the
            ExampleGen, ``push_directory``, and ``only_new_data``; all other runtime parameters, and ``config``, the
            configuration as JSON.

    Returns:
        The node's output parameters: the newest span, its version (empty if it has none), the data's fingerprint, and
        the input config without ``{SPAN}``; fingerprints of what PreviousRun and DeployedModel will find; the record
        of this run that Handover is to write; and ``new_data``, which is ``"no"`` if only new data is requested and
        there is none.

    Raises:
        CompressorError: If a runtime parameter is invalid, there is no span, or the push directory is not readable and
            writable.
    """
    _check_parameters(values)
    data = found_data(values["input_base"], values[INPUT_CONFIG], values.get("range_config"))
    directory = values[PUSH_DIRECTORY]
    classes = pushed_classes(directory)  # first, because its errors explain why the directory cannot be read
    described = _digest(f"{data.span} {data.version} {data.fingerprint}")
    newest = newest_versions(directory)
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


def _check_parameters(values: Json) -> None:
    """Refuses values that the platform's own page lets pass, hours before the node that reads them."""
    config = json.loads(values[CONFIG])
    for name, value in values.items():
        try:
            check_parameter(name, value, config)
        except CompressorError as error:
            raise CompressorError(f"runtime parameter {name}: {error}") from None


def _previous_run(directory: str, described: str, classes: Sequence[str], newest: str) -> str:
    """Fingerprint of what a run starts from. A repeated run gets the same one, so that all nodes are cached."""
    about = read_handover(directory, {}) or {}
    data, previous = json.loads(about.get(NOTE) or "[null, null]")
    if data == described and about[NEWEST] == newest:  # nothing was pushed since
        return str(previous)
    exists = fileio.exists(os.path.join(directory, HANDOVER))
    return _digest(json.dumps([fingerprint(directory, [HANDOVER]) if exists else None, list(classes)]))


def _was_seen(directory: str, described: str) -> bool:
    """Whether the last completed run had the same data."""
    seen = os.path.join(directory, SEEN)
    if not fileio.exists(seen):
        return False
    with fileio.open(seen) as file:
        return bool(file.read() == described)


def _check_writable(directory: str) -> None:
    """Refuses a push directory that is not writable, hours before a model would be pushed there."""
    probe = os.path.join(directory, f".probe-{uuid.uuid4().hex}")
    try:
        fileio.makedirs(directory)
        io_utils.write_string_file(probe, "")
        fileio.remove(probe)
    except (OSError, tf.errors.OpError) as error:
        cause = first_line(error)
        raise CompressorError(
            f"push directory {directory!r} cannot be written to ({cause}): allow the nodes (user {os.getuid()}) to "
            "create and delete files there, or set push.directory to another folder."
        ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


if __name__ == "__main__":
    redact_output()
    sys.exit(main())
