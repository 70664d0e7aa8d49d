"""The charts over the epochs of a training."""

from __future__ import annotations

from components.report.data import ReportData
from components.report.vega import Spec, chart


def learning(data: ReportData, measure: str, title: str, form: str) -> Spec:
    """Returns a chart of a measure over the epochs of both training runs.

    Args:
        data: Data of the report.
        measure: ``"accuracy"`` or ``"loss"``.
        title: Title of the measure.
        form: Number format.
    """
    values, best = [], []
    for role, history in data.histories.items():
        series = {"eval": history.get(f"val_{measure}", [])}
        if measure == "accuracy":
            # The training loss includes smoothing and distillation, so it is not comparable with the others.
            series["training"] = history.get(measure, [])
        for split, numbers in series.items():
            values += [
                {"epoch": epoch, "value": value, "model": role, "split": split}
                for epoch, value in enumerate(numbers, 1)
            ]
        epoch = int(history["best_epoch"][0])
        best.append({"epoch": epoch, "value": series["eval"][epoch - 1], "model": role, "split": "eval"})
    x = {
        "field": "epoch", "type": "quantitative", "title": "epoch",
        "axis": {"tickMinStep": 1, "format": "d", "grid": False}, "scale": {"nice": False, "padding": 12},
    }  # fmt: skip
    y = {
        "field": "value", "type": "quantitative", "title": title, "scale": {"zero": False},
        "axis": {"format": form, "tickCount": 5},
    }  # fmt: skip
    colour = {
        "field": "model",
        "scale": {"domain": ["reference", "compressed"], "range": ["var(--reference)", "var(--compressed)"]},
    }
    dash: Spec = {"field": "split", "scale": {"domain": ["eval", "training"], "range": [[1, 0], [4, 4]]}}
    if measure != "accuracy":
        dash["legend"] = None
    tooltip = [
        {"field": "model"},
        {"field": "split"},
        {"field": "epoch"},
        {"field": "value", "title": title, "format": ".4~f"},
    ]
    return chart(
        {
            "layer": [
                {
                    "data": {"values": values},
                    "mark": {"type": "line", "strokeWidth": 2},
                    "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash},
                },
                {
                    "data": {"values": values},
                    "mark": {"type": "point", "filled": True, "size": 26, "opacity": 1},
                    "encoding": {"x": x, "y": y, "color": colour, "tooltip": tooltip},
                },
                {
                    "data": {"values": best},
                    "mark": {"type": "point", "filled": False, "size": 150, "strokeWidth": 2},
                    "encoding": {"x": x, "y": y, "color": colour},
                },
            ]
        },
        height=240,
        description=f"{title} over the epochs of both training runs; a ring marks the epoch whose weights were kept",
    )


def finalists(data: ReportData) -> Spec:
    """Returns a chart of the finalists' accuracy over the epochs of their retraining, from their trials on."""
    points = [
        {
            "epoch": epoch, "accuracy": accuracy, "number": number, "connection": finalist.connection,
            "network": f"{finalist.backbone}, {finalist.input_size} px",
            "parameters": finalist.parameters, "place": "others" if number else "winner",
        }
        for number, finalist in enumerate(data.finalists)
        for epoch, accuracy in enumerate([finalist.before, *finalist.epochs])
    ]  # fmt: skip
    encoding = {
        "x": {
            "field": "epoch", "type": "quantitative", "title": "epoch of retraining",
            "axis": {"tickMinStep": 1, "format": "d", "grid": False}, "scale": {"nice": False, "padding": 12},
        },
        "y": {
            "field": "accuracy", "type": "quantitative", "title": "accuracy on the eval split",
            "scale": {"zero": False}, "axis": {"format": ".0%", "tickCount": 5},
        },
        "color": {
            "field": "place",
            "scale": {"domain": ["winner", "others"], "range": ["var(--compressed)", "var(--reference)"]},
        },
        "detail": {"field": "number"},
    }  # fmt: skip
    tooltip = [
        {"field": "network"},
        {"field": "connection"},
        {"field": "parameters", "format": ",d"},
        {"field": "epoch"},
        {"field": "accuracy", "format": ".1%"},
    ]
    return chart(
        {
            "data": {"values": points},
            "layer": [
                {"mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding},
                {
                    "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
                    "encoding": {**encoding, "tooltip": tooltip},
                },
            ],
        },
        height=240,
        description="Accuracy of the finalists on the eval split over the epochs of their retraining",
    )
