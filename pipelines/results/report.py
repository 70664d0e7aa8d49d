"""Writes a run's report: the Report node's data, completed with the times of all nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.results.lineage import NodeRun, Run

if TYPE_CHECKING:
    from components.report.data import NodeStep


def write_report(run: Run, folder: Path) -> Path:
    """Writes a run's report.

    Args:
        run: A run whose Report node succeeded.
        folder: Folder to write to.

    Returns:
        The page's path.

    Raises:
        CompressorError: If the run did not complete.
    """
    from components.report.data import read_reports
    from components.report.page import write_page

    steps = steps_of(run.nodes)
    reports = read_reports(Path(run["Report"].outputs["report"].uri))
    return write_page({model: replace(data, steps=steps) for model, data in reports.items()}, folder)


def steps_of(nodes: Mapping[str, NodeRun]) -> list[NodeStep]:
    """Lists each node with its duration and the nodes whose outputs it used."""
    from components.report.data import NodeStep

    makers = {artifact.id: name for name, node in nodes.items() for artifact in node.outputs.values()}
    return [
        NodeStep(
            name=name,
            state=node.state,
            seconds=node.seconds,
            inputs={key: makers.get(artifact.id, artifact.uri) for key, artifact in node.inputs.items()},
            outputs={key: artifact.uri for key, artifact in node.outputs.items()},
        )
        for name, node in nodes.items()
    ]
