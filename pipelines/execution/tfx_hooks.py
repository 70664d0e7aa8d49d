"""All uses of TFX beyond its public API in runs and tasks: the one place to adapt when a new release changes it.

Both local runners start each node with ``Launcher.launch`` and offer no listener; the executor runs inside it, in
``Launcher._run_executor``. :func:`wrapped_launcher` wraps the caller's functions around both. The entrypoint of
containers does not export its argument parser, so :func:`container_arguments` calls ``_parse_flags``.
``BeamDagRunner`` gives Beam no options for the job that starts the nodes: :func:`beam_dag_options` does.

TFX is imported only when a function is called.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

WRITTEN_AGAINST = "1.16.0"
"""The release of TFX that this module was written for."""


@dataclass(frozen=True)
class Node:
    """A node that is being launched.

    Attributes:
        id: The node's ID.
        metadata: The connection to ML Metadata, a context manager whose value has the ``store``.
    """

    id: str
    metadata: Any


@contextmanager
def wrapped_launcher(
    launch: Callable[[Node, Callable[[], Any]], Any], execute: Callable[[Node, Any, Callable[[], Any]], Any]
) -> Iterator[None]:
    """Wraps two functions around TFX's launcher, for the nodes of all runners.

    Args:
        launch: Takes a node and a callable that launches it; returns the callable's result, an ``ExecutionInfo`` or
            None.
        execute: Takes a node, its ``ExecutionInfo`` and a callable that runs its executor; returns the callable's
            result.
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


@contextmanager
def beam_dag_options(flags: Sequence[str]) -> Iterator[None]:
    """Gives flags to the Beam job with which ``BeamDagRunner`` starts the nodes.

    Args:
        flags: Flags for Beam's ``PipelineOptions``. Jobs that nodes start have their own.
    """
    from tfx.orchestration.beam import beam_dag_runner

    stock = beam_dag_runner.beam
    pipeline = functools.partial(stock.Pipeline, argv=list(flags))
    beam_dag_runner.beam = SimpleNamespace(**{**vars(stock), "Pipeline": pipeline})
    try:
        yield
    finally:
        beam_dag_runner.beam = stock


def _node(launcher: Any) -> Node:
    return Node(launcher._pipeline_node.node_info.id, launcher._mlmd_connection)


def container_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parses a command line as TFX's container entrypoint does.

    Args:
        arguments: The command line, the program's name first.

    Returns:
        The arguments that the entrypoint knows, and the rest, which it takes as Beam flags.
    """
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor import _parse_flags

    known, others = _parse_flags(arguments)
    return known, list(others)
