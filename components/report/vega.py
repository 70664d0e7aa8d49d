"""What the report's charts share: Vega-Lite specifications (https://vega.github.io/vega-lite/) and their looks.

Colours are CSS variables of the page, so that charts follow the reader's light or dark mode.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

MOST_CLASSES = 24
"""Maximum number of classes that charts show; if there are more, those that change most."""

_CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)", "titleColor": "var(--muted)", "gridColor": "var(--line)",
        "domain": False, "ticks": False, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
        "labelPadding": 6, "titlePadding": 8,
    },
    "legend": {
        "labelColor": "var(--ink)", "titleColor": "var(--muted)", "labelFontSize": 12, "symbolSize": 90,
        "orient": "top", "direction": "horizontal", "title": None, "offset": 8, "columns": 3, "labelLimit": 220,
        "layout": {"top": {"direction": "vertical"}},  # two side by side are too wide for a phone
    },
    # Percentages as phrases.percent writes them.
    "locale": {
        "number": {
            "decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": "\u00a0%"
        },
    },
}  # fmt: skip


def chart(spec: Spec, *, height: int, description: str) -> Spec:
    """Completes a chart.

    Args:
        spec: What it draws.
        height: Height in pixels.
        description: What it shows, for those who cannot see it.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "config": _CONFIG,
        **spec,
    }


def heat(x: Spec, y: Spec, shade: str, tooltip: list[Any]) -> Spec:
    """Returns the cells of a heat map.

    Args:
        x: Encoding of the columns.
        y: Encoding of the rows.
        shade: Field with a cell's shade, 0..1.
        tooltip: Fields, or their encodings.
    """
    return {
        "mark": {"type": "rect", "color": "var(--strong)", "stroke": "var(--line)", "strokeOpacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "fillOpacity": {
                "field": shade, "type": "quantitative", "legend": None, "scale": {"domain": [0, 1], "range": [0.02, 1]},
            },
            "tooltip": [one if isinstance(one, dict) else {"field": one} for one in tooltip],
        },
    }  # fmt: skip
