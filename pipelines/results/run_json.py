"""The JSON form of past runs, for ``--json``. docs/tutorial.md lists the keys; keys may be added, but not removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.results.lineage import Run

if TYPE_CHECKING:
    from compressor_lib.deployment.figures import ModelFigures
    from pipelines.results.lineage import Artifacts
    from pipelines.results.outcome import Results


def verdict(run: Run, model: str | None = None) -> str:
    """Describes the outcome of a run in a few words.

    Args:
        run: The run.
        model: Name of the model of a family that the words are about; None for all.
    """
    if run.state == "done":
        if not run.is_new:
            return "nothing new"
        if model is not None:
            return _verdict_on(run, model)
        return "; ".join(f"{name}: {_verdict_on(run, name)}" if name else _verdict_on(run, name) for name in run.models)
    states = {"failed": ("failed",), "interrupted": ("stopped",), "running": ("running",)}[run.state]
    where = next((name for name, node in run.nodes.items() if node.state in states), None)
    return f"{run.state} in {where}" if where else f"{run.state} after {list(run.nodes)[-1]}"


def _verdict_on(run: Run, model: str) -> str:
    blessed = run.blessed_of(model)
    if blessed is None:
        return "not judged"
    return f"{'blessed' if blessed else 'not blessed'}, {'pushed' if run.pushed_path_of(model) else 'not pushed'}"


def run_summary(output: Path, run: Run) -> dict[str, Any]:
    """The output of ``runs --json`` for a run."""
    from pipelines.results.outcome import kept_results

    results, note = kept_results(run)
    summary = {
        "id": run.id,
        "pipeline": run.pipeline,
        "output": str(output),
        "started": run.started.isoformat(),
        "state": run.state,
        "verdict": verdict(run),
        "note": note,
        "new": run.is_new,
        "span": run.span,
        "blessed": run.blessed,
        **_model_summary(run, "", results.get("")),
    }
    if "" not in run.models:
        summary["models"] = {
            model: {"blessed": run.blessed_of(model), **_model_summary(run, model, results.get(model))}
            for model in run.models
        }
    return summary


def _model_summary(run: Run, model: str, results: Results | None) -> dict[str, Any]:
    """The results of one model of a run."""
    both = {"reference": results.reference, "compressed": results.compressed} if results else {}
    pushed_at = run.pushed_at_of(model)
    return {
        "pushed_to": run.pushed_path_of(model),
        "pushed_at": pushed_at.isoformat() if pushed_at else None,
        "accuracy": {name: figures.accuracy for name, figures in both.items()},
        "accuracy_interval": {
            name: _interval(figures, results.verdict.confidence_shown) for name, figures in both.items() if results
        },
        "parameters": {name: figures.parameters for name, figures in both.items()},
    }


def _interval(figures: ModelFigures, confidence: float) -> dict[str, Any]:
    """An accuracy's counts and interval."""
    accuracy = figures.result(confidence).accuracy
    return {
        "right": figures.right,
        "images": figures.images,
        "low": accuracy.low,
        "high": accuracy.high,
        "confidence": confidence,
    }


def run_details(output: Path, run: Run) -> dict[str, Any]:
    """The output of ``show --json`` for a run: its summary, all its figures, and its nodes."""
    from pipelines.results.outcome import kept_results

    readable, _ = kept_results(run)
    results = json.loads(run.results) if readable else None
    reasons = {model: one.reasons for model, one in readable.items()}
    nodes = [
        {
            "name": name,
            "state": node.state,
            "started": node.started.isoformat() if node.started else None,
            "seconds": node.seconds,
            "inputs": _uris(node.inputs),
            "outputs": _uris(node.outputs),
        }
        for name, node in run.nodes.items()
    ]
    return {
        **run_summary(output, run),
        "reasons": [f"{model}: {reason}" if model else reason for model in reasons for reason in reasons[model]],
        "results": results,
        "nodes": nodes,
    }


def _uris(artifacts: Artifacts) -> dict[str, str]:
    return {key: artifact.uri for key, artifact in artifacts.items()}
