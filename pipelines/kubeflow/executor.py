"""TFX's container entrypoint, in a process that knows object stores and keeps credentials out of the task's log.

TFX's own executors, such as the Pusher's, import nothing of this project.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

from absl import logging

import components  # noqa: F401  - registers object stores
from compressor_lib.redaction import RedactedStream

_STOCK = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def redact_output() -> None:
    """Lets prints, tracebacks and absl's logs, with which TFX and Python's own go, through without credentials."""
    out: Any = RedactedStream(sys.stdout)
    err: Any = RedactedStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    logging.get_absl_handler().python_handler.setStream(err)


if __name__ == "__main__":
    redact_output()
    runpy.run_module(_STOCK, run_name="__main__", alter_sys=True)
