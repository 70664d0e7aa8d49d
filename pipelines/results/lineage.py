"""Past runs with the inputs and outputs of their nodes, read from ML Metadata without heavy imports."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from compressor_lib.deployment.family import member_of, node_id
from compressor_lib.errors import CompressorError, unknown
from pipelines.results.locks import LOCK_FILE, held_since
from pipelines.results.store import open_store

if TYPE_CHECKING:
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    Artifacts: TypeAlias = dict[str, metadata_store_pb2.Artifact]

RESULTS = "results"
"""Custom property of a run's context: the run's results, as JSON."""

LATEST = "latest"
"""Given instead of an ID, means the newest run."""

LAST_NODE = "Report"
"""The last node of a run; a run without its output has not completed."""

ENDED_WELL = ("done", "cached")
"""The states in which a node's outputs are complete."""


@dataclass(frozen=True)
class NodeRun:
    """One node's part in a run.

    Attributes:
        inputs: The first artifact of each input, by the input's key.
        outputs: The first artifact of each output, by the output's key; for a cached node, those of the earlier run.
        state: ``"done"``, ``"cached"``, ``"failed"``, ``"stopped"`` (interrupted or killed) or ``"running"``.
        started: Time at which it started.
        seconds: Its duration; None if it has not ended.
        parameters: Its execution properties, as ML Metadata stores them: numbers and text.
    """

    inputs: Artifacts
    outputs: Artifacts
    state: str = "done"
    started: datetime | None = None
    seconds: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def ended_well(self) -> bool:
        """Whether its outputs are complete."""
        return self.state in ENDED_WELL


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
        id: TFX's ID, which is the start time as text.
        pipeline: The pipeline's name.
        started: Time at which it started.
        nodes: All nodes that started, by ID, in the order of their starts.
        results: Its results as JSON; empty if it did not complete.
        alive: Whether the process of the run still exists.
    """

    id: str
    pipeline: str
    started: datetime
    nodes: dict[str, NodeRun]
    results: str = ""
    alive: bool = False

    def __getitem__(self, node: str) -> NodeRun:
        """Returns a node that succeeded.

        Raises:
            CompressorError: If the node did not succeed in this run.
        """
        found = self.nodes.get(node)
        if found is None or not found.ended_well:
            state = f"is {found.state}" if found else "has not run"
            raise CompressorError(f"node {node} of run {self.id} {state}: run the pipeline again to complete it.")
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
        """Whether any node did work instead of taking its result from an earlier run."""
        return any(node.state != "cached" for node in self.nodes.values())

    @property
    def span(self) -> int | None:
        """The newest span of its data; None if there are no spans."""
        for node in self.nodes.values():
            span = number_of(node.outputs.get("examples"), "span")
            if span is not None:
                return span if span or _reads_spans(node) else None
        return None

    @property
    def models(self) -> list[str]:
        """Names of its models, in the order of their nodes; an empty name for the only model."""
        members = dict.fromkeys(member_of(node)[1] for node in self.nodes)
        return [member for member in members if member] or [""]

    @property
    def blessed(self) -> bool | None:
        """Whether the Evaluators blessed all its models; None if one of them has not run."""
        all_blessed = [self.blessed_of(model) for model in self.models]
        return None if None in all_blessed else all(all_blessed)

    def blessed_of(self, model: str) -> bool | None:
        """Returns whether the Evaluator blessed a model; None if it has not run."""
        evaluator = self.nodes.get(node_id("Evaluator", model))
        blessed = number_of(evaluator.outputs.get("blessing"), "blessed") if evaluator else None
        return None if blessed is None else bool(blessed)

    def pushed_at_of(self, model: str) -> datetime | None:
        """Returns the time at which a model was pushed; in an earlier run, if the Pusher is cached."""
        pushed = self.pushed_path_of(model)
        return time_of(self.nodes[node_id("Pusher", model)].outputs["pushed_model"]) if pushed else None

    def pushed_path_of(self, model: str) -> str | None:
        """Returns the folder that a model was pushed to; None if it was not pushed."""
        pusher = self.nodes.get(node_id("Pusher", model))
        pushed = pusher.outputs.get("pushed_model") if pusher else None
        if pushed is None or not number_of(pushed, "pushed"):
            return None
        return pushed.custom_properties["pushed_destination"].string_value or None


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
            CompressorError: If the file does not exist or cannot be read.
        """
        self._path = Path(metadata_path)
        if not self._path.is_file():
            raise CompressorError(f"there are no runs in {str(self._path.parent)!r}: give the output folder of a run.")
        self._store = open_store(str(self._path))
        contexts = sorted(self._store.get_contexts_by_type("pipeline_run"), key=lambda context: context.id)
        self._runs = {context.name: context for context in contexts}

    def runs(self) -> list[Run]:
        """Returns all runs that started at least one node, the oldest first."""
        runs = [self._read(context) for context in self._runs.values()]
        return [run for run in runs if run.nodes]

    def run(self, id: str = LATEST) -> Run:
        """Returns one run.

        Args:
            id: Its ID, or a unique beginning or end of the ID; ``"latest"`` for the newest run.

        Raises:
            CompressorError: If no run matches, or several do.
        """
        if id == LATEST:
            for context in reversed(self._runs.values()):
                run = self._read(context)
                if run.nodes:
                    return run
            raise CompressorError(f"nothing has run in {str(self._path.parent)!r}: run the pipeline first.")
        return self._read(self._runs[resolve_id(id, self._runs)])

    def keep_results(self, run: Run, results: str) -> None:
        """Stores a run's results in ML Metadata.

        Args:
            run: The run.
            results: The results, as JSON.
        """
        context = self._runs[run.id]
        context.custom_properties[RESULTS].string_value = results
        self._store.put_contexts([context])

    def _is_alive(self, context: metadata_store_pb2.Context) -> bool:
        """Returns whether the process that holds the lock of the output folder started this run."""
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
    """Reads the artifacts of executions.

    Args:
        store: The metadata store.
        executions: IDs of the executions.

    Returns:
        By execution ID, the inputs and the outputs: the first artifact of each, by key. Executions without artifacts
        are missing.
    """
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
    """Completes an ID of which only the beginning or end is given.

    Args:
        id: The ID, its beginning or its end; ``"latest"`` for the newest, which is the last in alphabetical order.
        known: All IDs.

    Returns:
        The full ID.

    Raises:
        CompressorError: If no ID matches, or several do.
    """
    if id in known:
        return id
    if id == LATEST and known:
        return max(known)
    alike = [one for one in known if one.startswith(id) or one.endswith(id)]
    if len(alike) > 1:
        raise CompressorError(f"run {id!r} matches {' and '.join(sorted(alike)[:5])}: give more of its ID.")
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


def _reads_spans(example_gen: NodeRun) -> bool:
    """Whether the data is in span folders. TFX counts data without spans as span 0, too."""
    splits = json.loads(example_gen.parameters.get("input_config", "{}")).get("splits", [])
    # The driver has put the numbers into the pattern: "span-0/*/*", or "*/*" without spans.
    return any(not split["pattern"].startswith("*") for split in splits)


def _values(properties: Mapping[str, metadata_store_pb2.Value]) -> dict[str, Any]:
    return {name: getattr(value, str(value.WhichOneof("value"))) for name, value in properties.items()}


def number_of(artifact: metadata_store_pb2.Artifact | None, name: str) -> int | None:
    """Returns an integer property of an artifact, which may be stored as text; None if it has no such property."""
    if artifact is None:
        return None
    for properties in (artifact.custom_properties, artifact.properties):
        if name in properties:
            value = properties[name]
            return int(value.string_value or value.int_value)
    return None


def time_of(artifact: metadata_store_pb2.Artifact) -> datetime:
    """Returns the time at which an artifact was created, in the local time zone."""
    return _time(artifact.create_time_since_epoch)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).astimezone()
