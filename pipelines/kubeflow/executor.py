"""TFX's container entrypoint, in a process that knows object stores.

TFX's own executors, such as the Pusher's, import nothing of this project.
"""

from __future__ import annotations

import runpy

import components  # noqa: F401  - registers object stores

_STOCK = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"

if __name__ == "__main__":
    runpy.run_module(_STOCK, run_name="__main__", alter_sys=True)
