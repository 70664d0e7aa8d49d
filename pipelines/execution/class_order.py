"""Runs in the cache whose classes are in another order than those of the model that is pushed now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

_KNOWN = "previous_classes"
"""Transform's input: what PreviousRun found."""
_REMOVED = "removed_classes"
"""Its parameter: classes that the user takes out."""
_DIRECTORY = "push_directory"
"""PreviousRun's parameter: where it looked."""


def outdated_lists(store: ml_metadata.MetadataStore, push_directory: str) -> Iterator[metadata_store_pb2.Artifact]:
    """Finds the lists of pushed classes that led to another order than the pushed model has now.

    PreviousRun is cached for the same data. Where another model was pushed since, with more classes or others, a run on
    old data would give them other places.

    Args:
        store: A run's.
        push_directory: The run's push destination, in any store. What was found in others is not in its cache.

    Yields:
        PreviousRun's artifacts, which must not be taken from the cache.

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
    """The execution that made an artifact, if the store knows of one."""
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
