"""TFX's container entrypoint, in a process that knows object stores and keeps credentials out of the task's log.

TFX's own executors, such as the Pusher's, import nothing of this project.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, logging

import components  # noqa: F401  - registers object stores
from compressor_lib.support.proxies import exempt_loopback
from compressor_lib.support.redaction import RedactedStream
from pipelines.execution.tfx_hooks import container_arguments


def redact_output() -> None:
    """Lets prints, tracebacks and absl's logs, with which TFX and Python's own go, through without credentials."""
    out: Any = RedactedStream(sys.stdout)
    err: Any = RedactedStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    logging.get_absl_handler().python_handler.setStream(err)


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The stock entrypoint's arguments, and what flags there are for Beam.

    Args:
        arguments: As absl has them, the program's name first. The stock parser takes that for a flag of Beam's, and
            with any flag each Beam node packs TFX up for workers elsewhere, for seconds.
    """
    known, flags = container_arguments(arguments)
    return known, flags[1:]


if __name__ == "__main__":
    exempt_loopback()
    redact_output()  # before TFX comes in, whose imports log to the standard error that they find
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor import main

    app.run(main, flags_parser=parsed)
