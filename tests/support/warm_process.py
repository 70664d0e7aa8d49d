"""Starts Python processes as forks of a server that has imported TensorFlow and TFX, which takes ten seconds.

The server only imports: TensorFlow starts threads at its first operation, and a fork has no threads but its own.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTED = [
    "tensorflow", "tensorflow_model_analysis", "pipelines.cli.main", "pipelines.pipeline", "pipelines.modules",
    "pipelines.execution.preflight", "pipelines.results.outcome", "pipelines.execution.runners",
    "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
]  # fmt: skip

ENTRYPOINT = "pipelines.kubeflow.entrypoint"

warm = multiprocessing.get_context("forkserver")
"""Starts processes through the server, with the interface of ``multiprocessing``."""
warm.set_forkserver_preload(IMPORTED)

_fork = multiprocessing.get_context("fork")


def run_module(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> int:
    """Runs ``python -m MODULE [ARGUMENT ...]`` in a fork of the server; the entrypoint forks further.

    Args:
        command: The command.
        folder: The working directory.
        environment: The environment variables, except those that modules read while they are imported.
        log: File that the output is appended to.

    Returns:
        The exit status; negative for a signal.
    """
    python, flag, module, *arguments = command
    assert (python, flag) == ("python", "-m")
    process = warm.Process(target=_task, args=(module, arguments, str(folder), dict(environment), str(log)))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _task(module: str, arguments: list[str], folder: str, environment: dict[str, str], log: str) -> None:
    os.chdir(folder)
    tempfile.tempdir = None  # the server's
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    logging.root.handlers.clear()  # added by an import that logged a warning
    if module == ENTRYPOINT:
        subprocess.Popen = _Forked  # type: ignore[misc, assignment]
    _run(module, arguments, environment)


def _run(module: str, arguments: list[str], environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class _Forked:
    """Replaces ``subprocess.Popen`` in the entrypoint, which runs modules one after the other."""

    _real = subprocess.Popen

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        _python, _start_module, module, *arguments = command
        self._process = _fork.Process(target=self._main, args=(module, arguments, env))
        self._process.start()

    def _main(self, module: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        subprocess.Popen = self._real  # type: ignore[misc]
        _run(module, arguments, environment)

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
