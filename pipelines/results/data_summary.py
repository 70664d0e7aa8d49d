"""Shows a summary of a run's data: the number of images per class, and anomalies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pipelines.results.file_names import SUMMARY_FILE
from pipelines.results.lineage import NodeRun

NOTABLE_IMBALANCE = 3.0
"""An imbalance from this ratio on is shown, with a hint that classes can be weighted."""


def read_summary(validator: NodeRun) -> dict[str, Any]:
    """Reads the summary that ExampleValidator wrote.

    Returns:
        The fields of a :class:`components.artifacts.data_summary.DataSummary`.
    """
    found: dict[str, Any] = json.loads((Path(validator.outputs["anomalies"].uri) / SUMMARY_FILE).read_text())
    return found


def render_summary(summary: Mapping[str, Any]) -> Group:
    """Formats the images of each split, and a line for each anomaly.

    Args:
        summary: The summary from :func:`read_summary`; may be empty.
    """
    table = Table("", title="The data")
    for column in ("images", "classes", "smallest class", "largest class"):
        table.add_column(column, justify="right")
    for split, counts in summary.get("images", {}).items():
        if counts:
            ends = [min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)]
            table.add_row(
                split,
                f"{sum(counts.values()):,}",
                f"{len(counts):,}",
                *(f"{name}: {counts[name]:,}" for name in ends),
            )
    lines = []
    if summary.get("imbalance", 1.0) >= NOTABLE_IMBALANCE:
        lines.append(
            f"the largest class has {summary['imbalance']:.1f} times as many training images as the smallest "
            "(set data.class_weights: balanced to weight all classes the same)"
        )
    if summary.get("drift") is not None:
        lines.append(f"shares of classes have changed by up to {100 * summary['drift']:.1f} points since the last run")
    warnings = []
    if left_out := summary.get("left_out"):
        warnings.append(Text(f"skipped: {_by_kind(left_out, 'image')}; skipped.jsonl lists them", style="yellow"))
    if others := summary.get("others"):
        lines.append(f"ignored: {_by_kind(others, 'file')} that are not images")
    anomalies = [Text(f"anomaly: {sentence}", style="yellow") for sentence in summary.get("anomalies", [])]
    return Group(*([table] if table.row_count else []), *warnings, *map(Text, lines), *anomalies)


def _by_kind(counts: Mapping[str, int], noun: str) -> str:
    """Such as ``"60 images (40 .heic, 20 .jpg in nested folders)"``."""
    total = sum(counts.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    return f"{total:,} {noun}{'' if total == 1 else 's'} ({kinds})"
