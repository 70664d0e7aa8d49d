"""What runs and tasks take of TFX beyond its public API: the one place to adapt when a new release moves it.

Both local runners start each node by ``Launcher.launch``, and offer no listener; the executor runs within, in
``Launcher._run_executor``. :func:`wrapped_launcher` puts the caller's functions around both. The container's entrypoint
offers its parser of arguments to no one, so :func:`container_arguments` calls ``_parse_flags``.

TFX is imported when something is called.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

WRITTEN_AGAINST = "1.16.0"
"""The release of TFX that this was written against."""


@dataclass(frozen=True)
class Node:
    """A node that is launched.

    Attributes:
        id: Its id.
        metadata: The connection to ML Metadata, a context manager whose value has the ``store``.
    """

    id: str
    metadata: Any


@contextmanager
def wrapped_launcher(
    launch: Callable[[Node, Callable[[], Any]], Any], execute: Callable[[Node, Any, Callable[[], Any]], Any]
) -> Iterator[None]:
    """Lets the nodes of all runners be launched through two functions, each of which calls TFX's own.

    Args:
        launch: Takes a node and what launches it; returns what that returns, the ``ExecutionInfo`` or None.
        execute: Takes a node, its ``ExecutionInfo`` and what runs its executor; returns what that returns.
    """
    from tfx.orchestration.portable.launcher import Launcher

    launch_stock, execute_stock = Launcher.launch, Launcher._run_executor

    def launched(self: Any) -> Any:
        return launch(_node(self), lambda: launch_stock(self))

    def executed(self: Any, info: Any) -> Any:
        return execute(_node(self), info, lambda: execute_stock(self, info))

    Launcher.launch, Launcher._run_executor = launched, executed
    try:
        yield
    finally:
        Launcher.launch, Launcher._run_executor = launch_stock, execute_stock


def _node(launcher: Any) -> Node:
    return Node(launcher._pipeline_node.node_info.id, launcher._mlmd_connection)


def container_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parses a command line as TFX's container entrypoint does.

    Args:
        arguments: The command line, the program's name first.

    Returns:
        What the entrypoint knows, and the rest, which it takes for flags of Beam.
    """
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor import _parse_flags

    known, others = _parse_flags(arguments)
    return known, list(others)
