"""Runs a pipeline on this machine and says what each node does."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from compressor_lib.errors import CompressorError, unknown
from pipelines.execution import checksums
from pipelines.execution.signals import interrupts
from pipelines.execution.tfx_hooks import Node, wrapped_launcher
from pipelines.results.lineage import artifacts_of
from pipelines.results.node_results import result_of

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pipelines.results.lineage import Artifacts

RUNNERS = ("local", "beam")

_DELETION = 1.0
"""Seconds in which whoever deletes an output, a file of which a node has missed, comes to the file that is checked."""


class NodeListener:
    """Is told of each node; does nothing by itself."""

    def started(self, node: str) -> None:
        """``node`` begins."""

    def made(self, node: str, result: str) -> None:
        """``node`` is about to end well; ``result`` says in words what it has made, if there is anything to say."""

    def finished(self, node: str, outcome: str) -> None:
        """``node`` ended well; ``outcome`` is ``"done"``, ``"cached"`` or ``"skipped"``."""

    def failed(self, node: str, reason: str) -> None:
        """``node`` failed."""

    def stopped(self) -> None:
        """The run was stopped."""


class NodeFailure(Exception):
    """A node failed; its own exception is the ``__cause__``.

    Attributes:
        node: The node's id.
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
    """Runs all nodes of a pipeline, in this process.

    Args:
        pipeline: The pipeline.
        runner: ``"local"`` (``LocalDagRunner``) or ``"beam"`` (``BeamDagRunner``).
        listener: Is told of each node.
        seed: Of the order in which Beam deals records out, set anew for each node.
        check: Called before each node, and when one failed; what it raises is the failure's cause.

    Raises:
        CompressorError: If the runner is unknown.
        NodeFailure: If a node failed. What was finished before is kept, and cached.
        KeyboardInterrupt: If the run was stopped; likewise.
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
            dag_runner().run(pipeline)
        except BaseException as error:
            # Beam hands on copies; the first exception is the one that was seen at the node itself.
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
    """Wraps the launcher that both runners start nodes with; yields the nodes that failed.

    The connection to ML Metadata and the id of each execution whose executor begins go to ``begun``.
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
                # The launcher only logs it, and the run would go on without this node's outputs.
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
    """Records the execution that a stop ended as cancelled, where TFX has recorded a failure."""
    from ml_metadata.proto.metadata_store_pb2 import Execution

    for connection, id in begun[-1:]:
        with connection as metadata:
            (execution,) = metadata.store.get_executions_by_id([id])
            if execution.last_known_state not in (Execution.COMPLETE, Execution.CACHED):
                execution.last_known_state = Execution.CANCELED
                metadata.store.put_executions([execution])


def _cause(error: BaseException, check: Callable[[], None]) -> BaseException:
    """What a node's failure comes from: perhaps not from the node."""
    if not isinstance(error, CompressorError | _Stopped | KeyboardInterrupt):
        time.sleep(_DELETION)
    try:
        check()
    except CompressorError as deeper:
        return deeper
    return error


def _state(connection: Any, info: Any) -> int | None:
    """The state of an execution in ML Metadata, or None where there was none."""
    if info is None or not info.execution_id:
        return None
    with connection as metadata:
        (execution,) = metadata.store.get_executions_by_id([info.execution_id])
    return execution.last_known_state


def _outputs(connection: Any, execution: int) -> Artifacts:
    """The artifacts that an execution gave, by the output's key."""
    with connection as metadata:
        _, outputs = artifacts_of(metadata.store, [execution]).get(execution, ({}, {}))
    return outputs


def explain(error: BaseException) -> str:
    """Tells in one line why something failed.

    Args:
        error: Any exception, also one that Beam or TFX wrapped around another.

    Returns:
        The message of the :class:`CompressorError` behind it, if there is one; else the exception's
        type and the line of its message that says most.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, CompressorError):
            return _without_step(str(link))
        # A Beam worker may hand over its exception as text only.
        told = re.findall(r"CompressorError: (.+)", str(link))
        if told:
            return _without_step(told[-1])
        link = link.__cause__ or link.__context__
    lines = [line for line in str(error).splitlines() if line.strip()] or ["no message"]
    says_most = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return f"{type(error).__name__}: {_without_step(says_most)}"


def _without_step(message: str) -> str:
    """Cuts off the step that Beam appends to messages."""
    return re.sub(r"( \[while running '.*'\])+$", "", message).strip()
