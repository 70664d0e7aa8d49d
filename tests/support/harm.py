"""Results and checks of runs that were harmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from command_process import Command


def outcome(output: Path) -> dict[str, Any]:
    """The results of a run that must be reproduced."""
    from compressor_lib.deployment.export import load_keras
    from pipelines.results.lineage import Lineage

    run = Lineage(output / "metadata.sqlite").run()
    newest = max(output.glob("serving/[0-9]*"), key=lambda path: int(path.name))
    report = json.loads(Path(run["PruningSearch"].outputs["tuner_results"].uri, "search_report.json").read_text())
    history = json.loads(Path(run["retrain"].outputs["model_run"].uri, "history.json").read_text())
    return {
        "nodes": sorted(run.nodes),
        "trials": [{key: value for key, value in trial.items() if key != "seconds"} for trial in report],
        "history": history,
        "weights": [weights.tolist() for weights in load_keras(newest).get_weights()],
        "blessed": run.blessed,
    }


def assert_whole(version: Path, like: Path) -> None:
    """Asserts that a pushed model has the same files as the one in another output."""
    (other,) = like.glob("serving/[0-9]*")
    names, expected = (
        {str(path.relative_to(one)) for path in one.rglob("*") if path.is_file()} for one in (version, other)
    )
    assert names == expected


def completed_nodes(output: Path) -> dict[str, set[int]]:
    """The executions of each node that succeeded and were not cached."""
    return _executions(output, "COMPLETE")


def unfinished_nodes(output: Path) -> dict[str, set[int]]:
    """The executions of each node that started, but did not end."""
    return _executions(output, "RUNNING")


def _executions(output: Path, state: str) -> dict[str, set[int]]:
    from ml_metadata.proto import metadata_store_pb2 as proto

    from pipelines.results.store import open_store

    found: dict[str, set[int]] = {}
    if not (output / "metadata.sqlite").is_file():
        return found
    store = open_store(str(output / "metadata.sqlite"))
    for execution in store.get_executions():
        if execution.last_known_state == proto.Execution.State.Value(state):
            (node,) = [
                context.name.partition(".")[2]
                for context in store.get_contexts_by_execution(execution.id)
                if context.type == "node"
            ]
            found.setdefault(node, set()).add(execution.id)
    return found


def completed_trials(output: Path) -> dict[str, int]:
    """The modification time of the weights of each completed trial, in nanoseconds."""
    found = {}
    for path in output.glob("pipeline_root/PruningSearch/.trials/*/search/trial_*/trial.json"):
        if json.loads(path.read_text())["status"] == "COMPLETED":
            found[str(path.parent)] = (path.parent / "trained.npz").stat().st_mtime_ns
    return found


def assert_readable(command: Command) -> None:
    """Asserts that the output has no traceback."""
    assert "Traceback" not in command.said, command.said
