"""TFX's container entrypoint, with object stores registered and credentials kept out of the task's log.

TFX's own executors, such as the Pusher's, do not import this project, so they would lack both.
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
    """Removes credentials from prints, tracebacks and absl's logs, through which TFX and Python's loggers log."""
    out: Any = RedactedStream(sys.stdout)
    err: Any = RedactedStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    logging.get_absl_handler().python_handler.setStream(err)


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parses the stock entrypoint's arguments and the Beam flags.

    Args:
        arguments: The arguments from absl, the program's name first. The stock parser takes the name for a Beam flag,
            and with any flag, each Beam node spends seconds on packaging TFX for remote workers.
    """
    known, flags = container_arguments(arguments)
    return known, flags[1:]


if __name__ == "__main__":
    exempt_loopback()
    redact_output()  # before TFX is imported, which keeps the standard error that it finds for its logs
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor import main

    app.run(main, flags_parser=parsed)
