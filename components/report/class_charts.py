"""The charts of each class: confusion matrices and accuracies."""

from __future__ import annotations

from components.report.confusion import recalls
from components.report.data import Confusion, ReportData
from components.report.vega import MOST_CLASSES, Spec, chart, heat
from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult


def confusion(data: ReportData, role: str) -> Spec:
    """Returns a chart of a model's confusion matrix.

    Args:
        data: Data of the report.
        role: ``"reference"`` or ``"compressed"``.
    """
    counts = getattr(data.predictions, role)
    shown = shown_classes(data)
    names = data.predictions.classes
    cells = [
        {
            "class": names[row], "prediction": names[column], "images": counts[row].get(column, 0),
            "share": counts[row].get(column, 0) / max(1, sum(counts[row].values())),
        }
        for row in shown
        for column in shown
    ]  # fmt: skip
    order = [names[number] for number in shown]
    x = {"field": "prediction", "type": "nominal", "sort": order, "title": "prediction", "axis": {"labelAngle": -60}}
    y = {"field": "class", "type": "nominal", "sort": order, "title": "class"}
    text = {
        "transform": [{"filter": "datum.images > 0"}],
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {
            "x": x, "y": y, "text": {"field": "images"},
            "color": {"condition": {"test": "datum.share > 0.55", "value": "var(--on-strong)"}, "value": "var(--ink)"},
        },
    }  # fmt: skip
    return chart(
        {
            "data": {"values": cells},
            "layer": [
                heat(x, y, "share", ["class", "prediction", "images", {"field": "share", "format": ".1%"}]),
                *([text] if len(shown) <= MOST_CLASSES // 2 else []),
            ],
        },
        height=len(shown) * (26 if len(shown) <= 12 else 16),
        description=f"Confusion matrix of the {role} model on the test split",
    )


def shown_classes(data: ReportData) -> list[int]:
    """Returns the indices of the classes that charts show: all, or those whose accuracy changes most."""
    names = range(len(data.predictions.classes))
    if len(names) <= MOST_CLASSES:
        return list(names)
    before, after = recalls(data.predictions.reference), recalls(data.predictions.compressed)
    change = [abs((after[n] or 0.0) - (before[n] or 0.0)) for n in names]
    return sorted(sorted(names, key=lambda n: -change[n])[:MOST_CLASSES])


def by_class(data: ReportData) -> Spec:
    """Returns a chart of each model's accuracy by class."""
    before, after = recalls(data.predictions.reference), recalls(data.predictions.compressed)
    rows: list[Spec] = [
        {
            "class": data.predictions.classes[n], "reference": before[n], "compressed": after[n],
            **{f"{role}_counted": _right(getattr(data.predictions, role), n) for role in ("reference", "compressed")},
        }
        for n in shown_classes(data)
        if before[n] is not None
    ]  # fmt: skip
    rows.sort(key=lambda row: row["compressed"] - row["reference"])
    points = [{**row, "model": role, "accuracy": row[role]} for row in rows for role in ("reference", "compressed")]
    y = {"field": "class", "type": "nominal", "sort": [row["class"] for row in rows], "title": None}
    axis = {"format": ".0%", "tickCount": 5}
    tooltip = [
        {"field": "class"},
        {"field": "reference_counted", "title": "reference"},
        {"field": "compressed_counted", "title": "compressed"},
    ]
    x = {"type": "quantitative", "title": "accuracy, test split", "axis": axis, "scale": {"zero": False}}
    return chart(
        {
            "layer": [
                {
                    "data": {"values": rows},
                    "mark": {"type": "rule", "strokeWidth": 2, "color": "var(--muted)", "opacity": 0.5},
                    "encoding": {"y": y, "x": {**x, "field": "reference"}, "x2": {"field": "compressed"}},
                },
                {
                    "data": {"values": points},
                    "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                    "encoding": {
                        "y": y,
                        "x": {**x, "field": "accuracy"},
                        "color": {
                            "field": "model",
                            "scale": {
                                "domain": ["reference", "compressed"],
                                "range": ["var(--reference)", "var(--compressed)"],
                            },
                        },
                        "shape": {
                            "field": "model",
                            "scale": {"domain": ["reference", "compressed"], "range": ["diamond", "circle"]},
                        },
                        "tooltip": tooltip,
                    },
                },
            ]
        },
        height=26 * len(rows),
        description="Accuracy of each model on the test images of each class",
    )


def _right(confusion: Confusion, number: int) -> str:
    """Returns the count and interval of a class's accuracy."""
    right, images = confusion[number].get(number, 0), sum(confusion[number].values())
    return phrases.counted(EvalResult.from_counts("", images=images, right=right))
