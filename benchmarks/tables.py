"""Prints tables of results, and writes them as CSV and Markdown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path("benchmarks/results")


def show(name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table and writes it to ``benchmarks/results/<name>.csv`` and ``.md``.

    Args:
        name: Name of the files.
        title: Title that says what was measured, on which data and how often.
        header: Names of the columns.
        rows: Values of the columns; floats are shown with three significant digits.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    cells = [[_shown(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *cells]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    text = "\n".join([title, "", line(header), rule, *(line(row) for row in cells), ""])
    print(f"\n{text}", flush=True)
    (RESULTS / f"{name}.md").write_text(text)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
