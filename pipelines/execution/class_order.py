"""Finds cached runs whose class order differs from that of the currently pushed model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

_KNOWN = "previous_classes"
"""Transform's input from PreviousRun."""
_REMOVED = "removed_classes"
"""Transform's parameter: classes that the user removes."""
_DIRECTORY = "push_directory"
"""PreviousRun's parameter: the push directory that it read."""


def outdated_lists(store: ml_metadata.MetadataStore, push_directory: str) -> Iterator[metadata_store_pb2.Artifact]:
    """Finds the lists of pushed classes whose order differs from that of the currently pushed model.

    PreviousRun is cached for the same data. If a model with more or other classes was pushed since, a run on old data
    would order its classes differently.

    Args:
        store: The run's metadata store.
        push_directory: The run's push destination, local or remote. Lists from other destinations are skipped.

    Yields:
        PreviousRun's artifacts that must not be taken from the cache.

    Raises:
        CompressorError: If the push destination cannot be read.
    """
    from ml_metadata.proto import metadata_store_pb2 as proto

    if "TransformGraph" not in {kind.name for kind in store.get_artifact_types()}:
        return
    from components.artifacts.class_list import read_class_list
    from components.warm_start.pushed_classes import pushed_classes  # takes seconds, because of TFX

    pushed: list[str] | None = None
    for graph in store.get_artifacts_by_type("TransformGraph"):
        if graph.state != proto.Artifact.LIVE:
            continue
        transform = _maker(store, graph)
        if transform is None:
            continue
        removed = json.loads(transform.custom_properties[_REMOVED].string_value or "[]")
        for known in _inputs(store, transform, _KNOWN):
            previous_run = _maker(store, known)
            if previous_run is None or previous_run.custom_properties[_DIRECTORY].string_value != push_directory:
                continue
            if pushed is None:
                pushed = pushed_classes(push_directory)
            expected = [name for name in pushed if name not in removed]
            if read_class_list(graph.uri)[: len(expected)] != expected:
                yield known


def _maker(
    store: ml_metadata.MetadataStore, artifact: metadata_store_pb2.Artifact
) -> metadata_store_pb2.Execution | None:
    """The execution that made an artifact, if it is in the store."""
    events = store.get_events_by_artifact_ids([artifact.id])
    made_by = [event.execution_id for event in events if event.type == event.OUTPUT][:1]
    return next(iter(store.get_executions_by_id(made_by)), None) if made_by else None


def _inputs(
    store: ml_metadata.MetadataStore, execution: metadata_store_pb2.Execution, key: str
) -> list[metadata_store_pb2.Artifact]:
    events = store.get_events_by_execution_ids([execution.id])
    return store.get_artifacts_by_id(
        [event.artifact_id for event in events if event.type == event.INPUT and event.path.steps[0].key == key]
    )
