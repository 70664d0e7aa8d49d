"""Runs a pipeline on this machine and notifies a listener of what each node does."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compressor_lib.errors import CompressorError, unknown
from pipelines.config.beam import IN_PYTHON
from pipelines.execution import checksums
from pipelines.execution.signals import interrupts
from pipelines.execution.tfx_hooks import Node, beam_dag_options, wrapped_launcher
from pipelines.results.lineage import artifacts_of
from pipelines.results.node_results import result_of

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pipelines.results.lineage import Artifacts

RUNNERS = ("local", "beam")

_DELETION = 1.0
"""Seconds to wait after a node misses a file, so that a deletion of the whole output can reach the checked file."""


class NodeListener:
    """Base class of listeners, which are notified of each node; does nothing itself."""

    def started(self, node: str) -> None:
        """``node`` started."""

    def made(self, node: str, result: str) -> None:
        """``node`` is about to succeed; ``result`` describes what it made, and may be empty."""

    def finished(self, node: str, outcome: str) -> None:
        """``node`` succeeded; ``outcome`` is ``"done"``, ``"cached"`` or ``"skipped"``."""

    def failed(self, node: str, reason: str) -> None:
        """``node`` failed."""

    def stopped(self) -> None:
        """The run was stopped."""


class NodeFailure(Exception):
    """A node failed; the node's exception is the ``__cause__``.

    Attributes:
        node: The node's ID.
    """

    def __init__(self, node: str, cause: BaseException):
        super().__init__(f"node {node} failed: {explain(cause)}")
        self.node = node


def run(
    pipeline: tfx.dsl.Pipeline,
    runner: str = "local",
    listener: NodeListener | None = None,
    *,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Runs all nodes of a pipeline in this process.

    Args:
        pipeline: The pipeline.
        runner: ``"local"`` (``LocalDagRunner``) or ``"beam"`` (``BeamDagRunner``).
        listener: Is notified of each node.
        seed: Seed of the order in which Beam distributes records, set again for each node.
        check: Is called before each node and after a failure. An exception from it becomes the cause of the failure.

    Raises:
        CompressorError: If the runner is unknown.
        NodeFailure: If a node failed. Finished nodes are kept and cached.
        KeyboardInterrupt: If the run was stopped. Finished nodes are kept and cached.
    """
    if runner not in RUNNERS:
        raise unknown("runner", runner, RUNNERS)
    from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    dag_runner = {"local": LocalDagRunner, "beam": BeamDagRunner}[runner]
    listener = listener or NodeListener()
    begun: list[tuple[Any, int]] = []
    with _watched(listener, seed, check, begun) as failures, interrupts() as interrupted:
        try:
            with beam_dag_options([IN_PYTHON]):
                dag_runner().run(pipeline)
        except BaseException as error:
            # Beam passes on copies; the first exception is the original one, caught at the node.
            node, cause = failures[0] if failures else ("", error)
            if interrupted or isinstance(cause, _Stopped | KeyboardInterrupt):
                _record_stop(begun)
                listener.stopped()
                raise KeyboardInterrupt from None
            if not failures:
                raise
            listener.failed(node, explain(cause))
            raise NodeFailure(node, cause) from cause


class _Stopped(Exception):
    """Ctrl-C or SIGTERM inside an executor, as an exception that TFX records as a failed execution."""


@contextmanager
def _watched(
    listener: NodeListener, seed: int, check: Callable[[], None], begun: list[tuple[Any, int]]
) -> Iterator[list[tuple[str, BaseException]]]:
    """Wraps the launcher with which both runners start nodes; yields the nodes that failed.

    Appends to ``begun`` the connection to ML Metadata and the ID of each execution whose executor starts.
    """
    from ml_metadata.proto.metadata_store_pb2 import Execution
    from tfx.orchestration.portable import outputs_utils

    failures: list[tuple[str, BaseException]] = []

    def watched_launch(node: Node, launch: Callable[[], Any]) -> Any:
        listener.started(node.id)
        random.seed(seed)
        try:
            check()
            info = launch()
            state = _state(node.metadata, info)
            if state == Execution.FAILED:
                # The launcher only logs it, and the run would continue without this node's outputs.
                raise RuntimeError("its inputs could not be resolved")
        except BaseException as error:
            failures.append((node.id, _cause(error, check)))
            raise
        outcomes = {Execution.COMPLETE: "done", Execution.CACHED: "cached"}
        if state in outcomes:
            outputs = _outputs(node.metadata, info.execution_id)
            listener.made(node.id, result_of(outputs, cached=state == Execution.CACHED))
        listener.finished(node.id, outcomes.get(state, "skipped"))
        return info

    def stoppable_executor(node: Node, info: Any, execute: Callable[[], Any]) -> Any:
        begun.append((node.metadata, info.execution_id))
        try:
            output = execute()
        except KeyboardInterrupt as stop:
            outputs_utils.remove_output_dirs(info.output_dict)
            raise _Stopped("stopped by Ctrl-C or SIGTERM") from stop
        for artifacts in info.output_dict.values():
            for artifact in artifacts:
                checksums.record(artifact.uri)
        return output

    with wrapped_launcher(watched_launch, stoppable_executor):
        yield failures


def _record_stop(begun: list[tuple[Any, int]]) -> None:
    """Records a stopped execution as cancelled, because TFX records it as failed."""
    from ml_metadata.proto.metadata_store_pb2 import Execution

    for connection, id in begun[-1:]:
        with connection as metadata:
            (execution,) = metadata.store.get_executions_by_id([id])
            if execution.last_known_state not in (Execution.COMPLETE, Execution.CACHED):
                execution.last_known_state = Execution.CANCELED
                metadata.store.put_executions([execution])


def _cause(error: BaseException, check: Callable[[], None]) -> BaseException:
    """Finds the cause of a node's failure, which may lie outside the node."""
    if not isinstance(error, CompressorError | _Stopped | KeyboardInterrupt):
        time.sleep(_DELETION)
    try:
        check()
    except CompressorError as deeper:
        return deeper
    return error


def _state(connection: Any, info: Any) -> int | None:
    """The state of an execution in ML Metadata; None if there was none."""
    if info is None or not info.execution_id:
        return None
    with connection as metadata:
        (execution,) = metadata.store.get_executions_by_id([info.execution_id])
    return execution.last_known_state


def _outputs(connection: Any, execution: int) -> Artifacts:
    """The artifacts that an execution produced, by output key."""
    with connection as metadata:
        _, outputs = artifacts_of(metadata.store, [execution]).get(execution, ({}, {}))
    return outputs


def explain(error: BaseException) -> str:
    """Explains a failure in one line.

    Args:
        error: Any exception, including one that Beam or TFX wrapped around another.

    Returns:
        The message of the underlying :class:`CompressorError`, if there is one; otherwise the exception's type and the
        most informative line of its message.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, CompressorError):
            return _without_step(str(link))
        # A Beam worker may pass on its exception only as text.
        messages = re.findall(r"CompressorError: (.+)", str(link))
        if messages:
            return _without_step(messages[-1])
        link = link.__cause__ or link.__context__
    lines = [line for line in str(error).splitlines() if line.strip()] or ["no message"]
    says_most = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return f"{type(error).__name__}: {_without_step(says_most)}"


def _without_step(message: str) -> str:
    """Removes the step name that Beam appends to messages."""
    return re.sub(r"( \[while running '.*'\])+$", "", message).strip()
