"""Whole runs, and what ML Metadata says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import pipelines.execution.code_version
from pipelines.cli import main as cli
from pipelines.config.config import load_config
from pipelines.execution.runners import NodeListener, run
from pipelines.results.lineage import Lineage, NodeRun


@dataclass
class Runs:
    """Runs of one configuration into one output folder."""

    config_file: Path
    output: Path
    overrides: tuple[str, ...] = ()

    def __call__(self, *overrides: str, runner: str = "local", code_version: str = "first") -> dict[str, list[str]]:
        """Runs the pipeline; tells what ML Metadata holds of it, as `outcomes` does."""
        from pipelines.pipeline import create_pipeline

        self.output.mkdir(parents=True, exist_ok=True)
        config = load_config(self.config_file, self._overrides(overrides))
        told = Told()
        run(create_pipeline(config, code_version=code_version), runner, told)
        held = outcomes(config.metadata_path)
        assert sorted(told.finished_nodes) == sorted(
            (node, outcome) for node, several in held.items() for outcome in several
        )
        return held

    def command(self, monkeypatch: pytest.MonkeyPatch, *arguments: str, code_version: str = "first") -> Result:
        """Runs the pipeline by the command line."""
        monkeypatch.setattr(pipelines.execution.code_version, "code_version", lambda: code_version)
        sets = [part for override in self._overrides() for part in ("--set", override)]
        command = ["run", "--config", str(self.config_file), *sets, *arguments]
        return CliRunner().invoke(cli.app, command)

    def nodes(self) -> dict[str, NodeRun]:
        """The newest run's nodes, by id."""
        config = load_config(self.config_file, self._overrides())
        return Lineage(config.metadata_path).run().nodes

    def made(self, node: str, key: str) -> Path:
        """The folder of what a node made in the newest run."""
        return Path(self.nodes()[node].outputs[key].uri)

    @property
    def pushed(self) -> list[Path]:
        """The models that were pushed, the newest last."""
        return sorted(self.output.glob("serving/[0-9]*"), key=lambda path: int(path.name))

    def _overrides(self, overrides: tuple[str, ...] = ()) -> list[str]:
        return [f"output={self.output}", *self.overrides, *overrides]


class Told(NodeListener):
    """Notes what a runner tells of the nodes."""

    def __init__(self) -> None:
        self.finished_nodes: list[tuple[str, str]] = []

    def finished(self, node: str, outcome: str) -> None:
        self.finished_nodes.append((node, outcome))


def outcomes(metadata_path: str) -> dict[str, list[str]]:
    """What ML Metadata holds of the newest run: the outcomes of every node's executions."""
    from ml_metadata.proto.metadata_store_pb2 import Execution
    from tfx import v1 as tfx
    from tfx.orchestration.metadata import Metadata

    words = {Execution.COMPLETE: "done", Execution.CACHED: "cached"}
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata_path)
    found: dict[str, list[str]] = {}
    with Metadata(connection) as metadata:
        store = metadata.store
        newest = max(context.id for context in store.get_contexts_by_type("pipeline_run"))
        for execution in store.get_executions_by_context(newest):
            (name,) = (
                context.name for context in store.get_contexts_by_execution(execution.id) if context.type == "node"
            )
            state = execution.last_known_state
            node = name.partition(".")[2]
            found.setdefault(node, []).append(words.get(state, Execution.State.Name(state)))
    return found


@pytest.fixture(scope="module")
def without_xla() -> Iterator[None]:
    """Trains without XLA, which needs longer to compile these small networks than TensorFlow needs to train them."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("keras.src.trainers.trainer.model_supports_jit", lambda model: False)
        yield


@pytest.fixture(scope="session")
def make_runs(tmp_path_factory) -> Callable[..., Runs]:
    """Makes runs of a configuration's text or file, with values of it replaced."""

    def make(name: str, config: str | Path, *overrides: str) -> Runs:
        folder = tmp_path_factory.mktemp(name)
        if isinstance(config, str):
            path = folder / "config.yaml"
            path.write_text(config)
            config = path
        return Runs(config, folder / "out", overrides)

    return make
