"""A real ML Metadata store, written the way TFX writes it."""

from __future__ import annotations

from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as proto

from pipelines.results.store import open_store

EXECUTION, EVENT = proto.Execution, proto.Event


class Store:
    """The store, with methods that write runs to it."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(str(path), create=True)
        self.path = path
        self.types = {
            name: self.store.put_context_type(proto.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node")
        }

    def run(self, id: str, *nodes: tuple) -> None:
        """Records a run, each node as ``(node, state, inputs, outputs, parameters)``."""
        run = self.context("pipeline_run", id)
        if not nodes:
            self.store.put_contexts([run])
        for node, state, inputs, outputs, parameters in nodes:
            kind = self.store.put_execution_type(proto.ExecutionType(name=f"type of {node}"))
            execution = EXECUTION(type_id=kind, last_known_state=state)
            for name, value in parameters.items():
                execution.custom_properties[name].string_value = value
            used = [
                (artifact, EVENT(type=side, path=EVENT.Path(steps=[EVENT.Path.Step(key=key)])))
                for side, artifacts in ((EVENT.INPUT, inputs), (EVENT.OUTPUT, outputs))
                for key, artifact in artifacts.items()
            ]
            around = [self.context("pipeline", "p"), run, self.context("node", f"p.{node}")]
            self.store.put_execution(execution, used, around, reuse_context_if_already_exist=True)

    def context(self, kind: str, name: str) -> proto.Context:
        known = self.store.get_context_by_type_and_name(kind, name)
        return known or proto.Context(type_id=self.types[kind], name=name)

    def artifact(self, uri: str, **properties: int | str) -> proto.Artifact:
        kind = self.store.put_artifact_type(proto.ArtifactType(name="Any"))
        artifact = proto.Artifact(type_id=kind, uri=uri)
        for name, value in properties.items():
            field = "string_value" if isinstance(value, str) else "int_value"
            setattr(artifact.custom_properties[name], field, value)
        (artifact.id,) = self.store.put_artifacts([artifact])
        return artifact
