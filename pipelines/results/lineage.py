"""What each run made of what, read from ML Metadata; nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from compressor_lib.errors import CompressorError, unknown
from pipelines.results.locks import LOCK_FILE, held_since
from pipelines.results.store import open_store

if TYPE_CHECKING:
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    Artifacts: TypeAlias = dict[str, metadata_store_pb2.Artifact]

RESULTS = "results"
"""Custom property of a run's context: what the run came to, as JSON."""

LATEST = "latest"
"""Stands for the newest run, where an id is asked for."""

LAST_NODE = "Report"
"""A run that has not come to its end has no output of this node."""

ENDED_WELL = ("done", "cached")


@dataclass(frozen=True)
class NodeRun:
    """One node's part in a run.

    Attributes:
        inputs: The first artifact of each input, by the input's key.
        outputs: Likewise for the outputs; of a cached node, those it had before.
        state: ``"done"``, ``"cached"``, ``"failed"``, ``"stopped"`` (interrupted or killed) or ``"running"``.
        started: When it began.
        seconds: How long it took; None where it has not ended.
        parameters: Its execution parameters, as ML Metadata holds them: numbers and text.
    """

    inputs: Artifacts
    outputs: Artifacts
    state: str = "done"
    started: datetime | None = None
    seconds: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def ended_well(self) -> bool:
        """Whether its outputs are whole."""
        return self.state in ENDED_WELL


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
        id: TFX's, the time it began at.
        pipeline: The pipeline's name.
        started: When it began.
        nodes: Every node that began, by id, in the order in which they did.
        results: What it came to, as JSON; empty for a run that did not come so far.
        alive: Whether its process still runs.
    """

    id: str
    pipeline: str
    started: datetime
    nodes: dict[str, NodeRun]
    results: str = ""
    alive: bool = False

    def __getitem__(self, node: str) -> NodeRun:
        """A node that ended well.

        Raises:
            CompressorError: If it did not in this run.
        """
        found = self.nodes.get(node)
        if found is None or not found.ended_well:
            state = found.state if found else "not reached"
            raise CompressorError(f"node {node} of run {self.id} is {state}: run the pipeline again to complete it.")
        return found

    @property
    def state(self) -> str:
        """``"done"``, ``"failed"``, ``"interrupted"`` (stopped or killed) or ``"running"``."""
        states = [node.state for node in self.nodes.values()]
        if "failed" in states:
            return "failed"
        report = self.nodes.get(LAST_NODE)
        if "stopped" not in states and (self.results or (report and report.ended_well)):
            return "done"
        return "running" if self.alive else "interrupted"

    @property
    def is_new(self) -> bool:
        """Whether a node did something, rather than take it from an earlier run."""
        return any(node.state != "cached" for node in self.nodes.values())

    @property
    def span(self) -> int | None:
        """The span of its data; None where there are no spans."""
        for node in self.nodes.values():
            span = number_of(node.outputs.get("examples"), "span")
            if span is not None:
                return span or None  # TFX counts data without spans as span 0
        return None

    @property
    def blessed(self) -> bool | None:
        """Whether the Evaluator let its model pass; None where that was not reached."""
        evaluator = self.nodes.get("Evaluator")
        blessed = number_of(evaluator.outputs.get("blessing"), "blessed") if evaluator else None
        return None if blessed is None else bool(blessed)

    @property
    def pushed_at(self) -> datetime | None:
        """When the model at :attr:`pushed_path` was pushed: by this run, or by an earlier one whose Pusher it took."""
        return time_of(self.nodes["Pusher"].outputs["pushed_model"]) if self.pushed_path else None

    @property
    def pushed_path(self) -> str | None:
        """Folder its model was pushed to, if it was."""
        model = self.nodes["Pusher"].outputs.get("pushed_model") if "Pusher" in self.nodes else None
        if model is None or not number_of(model, "pushed"):
            return None
        return model.custom_properties["pushed_destination"].string_value or None


class Lineage:
    """The runs in one store of ML Metadata.

    Example:
        >>> Lineage("runs/digits/metadata.sqlite").run()["retrain"].outputs["model"].uri  # doctest: +SKIP
    """

    def __init__(self, metadata_path: str | Path) -> None:
        """Opens the store.

        Args:
            metadata_path: SQLite file of ML Metadata.

        Raises:
            CompressorError: If it is not there or cannot be read.
        """
        self._path = Path(metadata_path)
        if not self._path.is_file():
            raise CompressorError(f"there are no runs in {str(self._path.parent)!r}: give the output folder of one.")
        self._store = open_store(str(self._path))
        contexts = sorted(self._store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id)
        self._runs = {context.name: context for context in contexts}

    def runs(self) -> list[Run]:
        """Every run that began a node, the oldest first."""
        runs = [self._read(context) for context in self._runs.values()]
        return [run for run in runs if run.nodes]

    def run(self, id: str = LATEST) -> Run:
        """One run.

        Args:
            id: Its id, or as much of its beginning or end as no other shares; ``"latest"`` for the newest.

        Raises:
            CompressorError: If there is no such run, or several.
        """
        if id == LATEST:
            for context in reversed(self._runs.values()):
                run = self._read(context)
                if run.nodes:
                    return run
            raise CompressorError(f"nothing has run in {str(self._path.parent)!r}: run the pipeline first.")
        return self._read(self._runs[resolve_id(id, self._runs)])

    def keep_results(self, run: Run, results: str) -> None:
        """Keeps what a run came to, in ML Metadata.

        Args:
            run: The run.
            results: JSON.
        """
        context = self._runs[run.id]
        context.custom_properties[RESULTS].string_value = results
        self._store.put_contexts([context])

    def _is_alive(self, context: metadata_store_pb2.Context) -> bool:
        """Whether the process that holds the output's lock has begun this run."""
        since = held_since(self._path.with_name(LOCK_FILE))
        return since is not None and since <= _time(context.create_time_since_epoch)

    def _read(self, context: metadata_store_pb2.Context) -> Run:
        alive = self._is_alive(context)
        executions = sorted(self._store.get_executions_by_context(context.id), key=lambda execution: execution.id)
        artifacts = artifacts_of(self._store, [execution.id for execution in executions])
        pipeline, nodes = "", {}
        for execution in executions:
            names = {around.type: around.name for around in self._store.get_contexts_by_execution(execution.id)}
            pipeline = names.get("pipeline", pipeline)
            if "node" in names:
                node = names["node"].removeprefix(f"{pipeline}.")
                nodes[node] = _node_run(execution, *artifacts.get(execution.id, ({}, {})), alive=alive)
        return Run(
            id=context.name,
            pipeline=pipeline,
            started=_time(context.create_time_since_epoch),
            nodes=nodes,
            results=str(_values(context.custom_properties).get(RESULTS, "")),
            alive=alive,
        )


def artifacts_of(store: ml_metadata.MetadataStore, executions: list[int]) -> dict[int, tuple[Artifacts, Artifacts]]:
    """The first artifact of each key that executions took, and that they gave, by the execution's id."""
    from ml_metadata.proto import metadata_store_pb2 as proto

    events = store.get_events_by_execution_ids(executions) if executions else []
    known = {one.id: one for one in store.get_artifacts_by_id([event.artifact_id for event in events])}
    found: dict[int, tuple[Artifacts, Artifacts]] = {}
    for event in events:
        inputs, outputs = found.setdefault(event.execution_id, ({}, {}))
        sides = {proto.Event.INPUT: inputs, proto.Event.OUTPUT: outputs}
        if event.type in sides and event.path.steps:
            sides[event.type].setdefault(event.path.steps[0].key, known[event.artifact_id])
    return found


def resolve_id(id: str, known: Collection[str]) -> str:
    """The id that is meant by one, or by its beginning or end.

    Args:
        id: As given; ``"latest"`` is the last one in their order, which is that of time.
        known: All ids.

    Raises:
        CompressorError: If it is none of them, or several.
    """
    if id in known:
        return id
    if id == LATEST and known:
        return max(known)
    alike = [one for one in known if one.startswith(id) or one.endswith(id)]
    if len(alike) > 1:
        raise CompressorError(f"run {id!r} may be {' or '.join(sorted(alike)[:5])}: give more of its id.")
    if not alike:
        raise unknown("run", id, [*known, LATEST])
    return alike[0]


_STATES = {"COMPLETE": "done", "CACHED": "cached", "FAILED": "failed", "CANCELED": "stopped"}


def _node_run(
    execution: metadata_store_pb2.Execution, inputs: Artifacts, outputs: Artifacts, *, alive: bool
) -> NodeRun:
    from ml_metadata.proto import metadata_store_pb2 as proto

    state = _STATES.get(proto.Execution.State.Name(execution.last_known_state), "running" if alive else "stopped")
    milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return NodeRun(
        inputs,
        outputs,
        state=state,
        started=_time(execution.create_time_since_epoch),
        seconds=None if state in ("running", "stopped") else milliseconds / 1000,
        parameters=_values(execution.custom_properties),
    )


def _values(properties: Mapping[str, metadata_store_pb2.Value]) -> dict[str, Any]:
    return {name: getattr(value, str(value.WhichOneof("value"))) for name, value in properties.items()}


def number_of(artifact: metadata_store_pb2.Artifact | None, name: str) -> int | None:
    """A property of an artifact that is a number, also where it is kept as text; None where there is none."""
    if artifact is None:
        return None
    for properties in (artifact.custom_properties, artifact.properties):
        if name in properties:
            value = properties[name]
            return int(value.string_value or value.int_value)
    return None


def time_of(artifact: metadata_store_pb2.Artifact) -> datetime:
    """When an artifact was made."""
    return _time(artifact.create_time_since_epoch)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).astimezone()
