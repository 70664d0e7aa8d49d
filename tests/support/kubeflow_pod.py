"""Runs a task's command like Kubernetes and the image, for the stand-in for Kubeflow's backend.

The image's user and its other files are not reproduced: a task runs as the user who runs the tests.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubeflow_errors import TaskFailed

SERVICES = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
"""Some of the variables that Kubernetes gives every container."""

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def variables_of(container: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a container, from its spec."""
    own = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
    return {**SERVICES, "KFP_POD_NAME": "a-pod", **own}


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Expands an argument like Kubernetes (third_party/forked/golang/expansion in kubernetes/kubernetes).

    ``$(NAME)`` becomes the value of the variable if there is one, and ``$$`` becomes ``$``.
    """

    def value_of(found: re.Match[str]) -> str:
        return "$" if found[1] is None else variables.get(found[1], found[0])

    return _REFERENCE.sub(value_of, text)


Start = Callable[[list[str], Path, Mapping[str, str], Path], int]
"""Runs a command in a folder and an environment, with its output in a file; returns the exit status."""


def fresh_process(command: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> int:
    """Runs a command like a container."""
    with log.open("a") as printed:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=printed,
            stderr=printed,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode


def execute(
    name: str,
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path | None = None,
    start: Start = fresh_process,
) -> str:
    """Runs a task's command.

    Args:
        name: Name of the task.
        command: The command, which is run without a shell.
        folder: Folder of the pod; ``tmp`` in it is the working directory and the home, as in the image.
        environment: Environment of the container.
        log: File for the output of the process, which exists before the process starts.
        start: Starts the process: :func:`fresh_process`, or :func:`warm_process.run_module`, which saves the imports.

    Returns:
        The output of the process.

    Raises:
        TaskFailed: If the process fails; the message has the end of its output.
    """
    tmp = folder / "tmp"
    tmp.mkdir(exist_ok=True)
    of_image = {"HOME": str(tmp), "TMPDIR": str(tmp), "PWD": str(tmp)}
    log = log or folder / "log"
    log.write_text("")
    status = start(command, tmp, {**environment, **of_image}, log)
    text = log.read_text()
    if status:
        raise TaskFailed(f"{name} ended with {status}:\n{text[-20_000:]}")
    return text
