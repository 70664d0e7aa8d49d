"""The chart of how well translators fit."""

from __future__ import annotations

from collections.abc import Sequence

from components.report.data import ReportData
from components.report.vega import MOST_CLASSES, Spec, chart, heat
from compressor_lib.cuts.connections import parse_connection


def fit(data: ReportData, order: Sequence[str]) -> Spec | None:
    """Returns a chart of how well each translator fits: R2 by A and B.

    Args:
        data: Data of the report.
        order: Layer names, in network order.

    Returns:
        The chart; None without translators.
    """
    cells: list[Spec] = []
    for connection, r2 in data.translators.items():
        ends = parse_connection(connection)
        cells.append({"a": ends.a, "b": ends.b, "r2": round(r2, 4), "shade": min(1.0, max(0.0, r2))})
    if not cells:
        return None
    place = {name: number for number, name in enumerate(order)}
    columns, rows = (
        sorted(dict.fromkeys(cell[key] for cell in cells), key=lambda name: place.get(name, 0)) for key in "ab"
    )
    x = {"field": "a", "type": "nominal", "sort": columns, "title": "A, cut after", "axis": {"labelAngle": -60}}
    y = {"field": "b", "type": "nominal", "sort": rows, "title": "B, rejoined at"}
    text = {
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {
            "x": x, "y": y, "text": {"field": "r2", "format": ".2f"},
            "color": {"condition": {"test": "datum.shade > 0.55", "value": "var(--on-strong)"}, "value": "var(--ink)"},
        },
    }  # fmt: skip
    layers = [heat(x, y, "shade", ["a", "b", "r2"]), *([text] if len(columns) <= MOST_CLASSES else [])]
    return chart(
        {"data": {"values": cells}, "layer": layers},
        height=len(rows) * (30 if len(rows) < 8 else 18),
        description="Share of the variance of B's original input that each translator explains",
    )
