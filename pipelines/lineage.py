"""What a run made of what, read from ML Metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compressor_lib.errors import CompressorError

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2


@dataclass(frozen=True)
class NodeRun:
    """One node's part in a run.

    Attributes:
        inputs: The first artifact of each input, by the input's key.
        outputs: Likewise for the outputs; of a cached node, those it had before.
    """

    inputs: dict[str, metadata_store_pb2.Artifact]
    outputs: dict[str, metadata_store_pb2.Artifact]


def latest_run(metadata_path: str, pipeline_name: str) -> dict[str, NodeRun]:
    """Reads the newest run of a pipeline.

    Args:
        metadata_path: SQLite file of ML Metadata.
        pipeline_name: The pipeline's name.

    Returns:
        The nodes that ended well, cached ones included, by id.

    Raises:
        CompressorError: If the pipeline has not run here.
    """
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2 as proto

    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = metadata_path
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE
    store = ml_metadata.MetadataStore(config)
    nodes = {
        context.id: context.name.removeprefix(f"{pipeline_name}.")
        for context in store.get_contexts_by_type("node")
        if context.name.startswith(f"{pipeline_name}.")
    }
    runs = store.get_contexts_by_type("pipeline_run")
    for run in sorted(runs, key=lambda context: context.id, reverse=True):
        found: dict[str, NodeRun] = {}
        for execution in store.get_executions_by_context(run.id):
            names = [
                nodes[context.id] for context in store.get_contexts_by_execution(execution.id) if context.id in nodes
            ]
            if names and execution.last_known_state in (proto.Execution.COMPLETE, proto.Execution.CACHED):
                found[names[0]] = _node_run(store, execution.id)
        if found:
            return found
    raise CompressorError(f"pipeline {pipeline_name!r} has not run in {metadata_path}: run it first.")


def _node_run(store: object, execution: int) -> NodeRun:
    from ml_metadata.proto import metadata_store_pb2 as proto

    events = store.get_events_by_execution_ids([execution])  # type: ignore[attr-defined]
    artifacts = {
        artifact.id: artifact
        for artifact in store.get_artifacts_by_id([event.artifact_id for event in events])  # type: ignore[attr-defined]
    }
    run = NodeRun({}, {})
    for event in events:
        sides = {proto.Event.INPUT: run.inputs, proto.Event.OUTPUT: run.outputs}
        if event.type in sides and event.path.steps:
            sides[event.type].setdefault(event.path.steps[0].key, artifacts[event.artifact_id])
    return run
