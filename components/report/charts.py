"""The report's charts, as Vega-Lite specifications (https://vega.github.io/vega-lite/).

Colours are CSS variables of the page, so that charts follow the reader's light or dark mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from components.report.confusion import recalls
from components.report.data import Confusion, ReportData, Trial
from components.report.front import front, marked, marking, trial_of
from compressor_lib.cuts.connections import parse_connection
from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.figures import ModelFigures
from compressor_lib.deployment.model_metrics import KIB

Spec = dict[str, Any]

COST_TITLES = {
    "parameters": "parameters",
    "macs": "MACs per image",
    "bytes": "bytes of the TFLite file",
    "latency": "milliseconds per image",
    "memory": "KiB of memory in int8",
}
"""Axis titles of the costs."""

MOST_CLASSES = 24
"""Maximum number of classes that charts show; if there are more, those that change most."""

EVAL = "eval"
"""The split on which trials are scored."""

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


def pareto(data: ReportData, cost: str) -> Spec | None:
    """Returns a chart of accuracy against a cost: all trials with a known cost, the reference and the winner.

    All accuracies are on the eval split. Trials are shown before retraining.

    Args:
        data: Data of the report.
        cost: A name in ``compressor_lib.objective.costs.COSTS``.

    Returns:
        The chart; None if the cost of no trial is known.
    """
    trials = [trial for trial in data.trials if cost in trial.costs]
    if not trials or (cost == "macs" and len(trials) < 2):
        return None
    images = data.data.totals.get(EVAL, 0)
    points = [
        {
            "cost": trial.costs[cost], "accuracy": trial.accuracy, **marked(trial),
            "connection": trial.connection, "network": trial.network, "what": _widths(trial),
            "score": round(trial.score, 4), "counted": counted_on_eval(trial.accuracy, images),
        }
        for trial in trials
    ]  # fmt: skip
    x = {
        "field": "cost", "type": "quantitative", "title": COST_TITLES[cost], "scale": {"zero": True, "nice": True},
        "axis": {"labelExpr": "datum.value ? format(datum.value, '~s') : '0'", "tickCount": 5, "grid": False},
    }  # fmt: skip
    y = {
        "field": "accuracy", "type": "quantitative", "title": "eval accuracy",
        "scale": {"zero": False, "padding": 30},
        "axis": {"format": ".0%", "tickCount": 6},
    }  # fmt: skip
    measured = [
        {"field": "accuracy", "format": ".1%"},
        *([{"field": "counted", "title": "eval images"}] if images else []),
        {"field": "cost", "title": COST_TITLES[cost], "format": ",.4~g" if cost == "latency" else ",.0f"},
    ]
    tooltip = [
        {"field": "connection"},
        *([{"field": "network"}] if len({trial.network for trial in data.trials}) > 1 else []),
        {"field": "what", "title": "widths"},
        *measured,
        {"field": "score"},
    ]
    best = [{"cost": trial.costs[cost], "accuracy": trial.accuracy} for trial in front(trials, cost)]
    layers: list[Spec] = [
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 0.9},
            "encoding": {
                "x": x,
                "y": y,
                **marking(trials),
                "tooltip": tooltip,
            },
        },
        {
            "data": {"values": best},
            "mark": {"type": "line", "interpolate": "step-after", "color": "var(--muted)", "strokeWidth": 1.2},
            "encoding": {"x": x, "y": y},
        },
    ]
    finalists = _finalist_points(data, cost)
    if finalists:
        layers.append(
            {
                "data": {"values": finalists},
                "mark": {
                    "type": "point", "shape": "circle", "filled": False, "size": 70, "strokeWidth": 1.8,
                    "color": "var(--ink)",
                },
                "encoding": {
                    "x": x, "y": y,
                    "tooltip": [
                        {"field": "label", "title": "finalist"}, {"field": "network"}, {"field": "connection"},
                        *measured,
                    ],
                },
            }
        )  # fmt: skip
    marks = _milestones(data, cost)
    if len(marks) > 1:
        layers.append(
            {
                "data": {"values": marks[-2:]},
                "mark": {"type": "line", "color": "var(--ink)", "strokeDash": [2, 3], "strokeWidth": 1.2},
                "encoding": {"x": x, "y": y, "order": {"field": "order"}},
            }
        )
    for shape in ("diamond", "circle"):
        layers.append(
            {
                "data": {"values": [mark for mark in marks if mark["shape"] == shape]},
                "mark": {
                    "type": "point", "shape": shape, "filled": False, "size": 240, "strokeWidth": 2.2,
                    "color": "var(--ink)",
                },
                "encoding": {
                    "x": x, "y": y,
                    "tooltip": [{"field": "label", "title": "network"}, {"field": "connection"}, *measured],
                },
            }
        )  # fmt: skip
    layers.append(
        {
            "data": {"values": marks},
            "mark": {
                "type": "text", "dy": {"expr": "datum.dy"}, "align": {"expr": "datum.align"},
                "fontSize": 12, "fontWeight": 600, "color": "var(--ink)",
            },
            "encoding": {"x": x, "y": y, "text": {"field": "label"}},
        }
    )  # fmt: skip
    return _chart(
        {"layer": layers},
        height=360,
        description=f"Validation accuracy of every trial against its {COST_TITLES[cost]}",
    )


def _finalist_points(data: ReportData, cost: str) -> list[Spec]:
    """Returns the finalists after their short retraining, as far as the cost is known."""
    images = data.data.totals.get(EVAL, 0)
    points = []
    for number, finalist in enumerate(data.finalists, 1):
        trial = trial_of(finalist, data.trials)
        if trial is not None and cost in trial.costs:
            points.append(
                {
                    "label": f"{number} of {len(data.finalists)}", "network": trial.network,
                    "connection": finalist.connection, "cost": trial.costs[cost], "accuracy": finalist.accuracy,
                    "counted": counted_on_eval(finalist.accuracy, images),
                }
            )  # fmt: skip
    return points


def _milestones(data: ReportData, cost: str) -> list[Spec]:
    """Returns the reference, the winner before retraining, and the winner after retraining (the same network)."""
    reference, compressed = costs_of(data, data.reference), costs_of(data, data.compressed)
    is_other_format = in_another_format(data, cost)
    name = "reference, float32" if is_other_format else "reference"
    winner = data.trials[0]
    retrained = winner.costs.get(cost) if is_other_format else compressed.get(cost, winner.costs.get(cost))
    images = data.data.totals.get(EVAL, 0)
    marks: list[Spec] = []
    if cost in reference:
        marks.append(
            {
                "label": name, "shape": "diamond", "connection": data.backbone, "align": "center", "dy": 20,
                "cost": reference[cost], "accuracy": _best(data.histories["reference"]),
            }
        )  # fmt: skip
    if cost in winner.costs:
        marks.append(
            {
                "label": "winner", "shape": "circle", "connection": winner.connection, "align": "right", "dy": 19,
                "cost": winner.costs[cost], "accuracy": winner.accuracy,
            }
        )  # fmt: skip
        marks.append(
            {
                "label": "retrained", "shape": "diamond", "connection": winner.connection, "align": "left", "dy": -17,
                "cost": retrained, "accuracy": _best(data.histories["compressed"]),
            }
        )  # fmt: skip
    return [
        {**mark, "counted": counted_on_eval(mark["accuracy"], images), "order": place}
        for place, mark in enumerate(marks)
    ]


def costs_of(data: ReportData, model: ModelFigures) -> dict[str, float]:
    """Returns the known costs of the reference or the compressed model, by name."""
    latency = None if model.latency is None else model.latency.median
    if data.device is not None:
        latency = data.device.reference if model is data.reference else data.device.compressed
    memory = None if model.memory is None else model.memory / KIB
    known = {"bytes": model.bytes, "latency": latency, "memory": memory, "parameters": model.parameters}
    return {name: value for name, value in known.items() if value is not None}


def in_another_format(data: ReportData, cost: str) -> bool:
    """Returns whether a cost of the trials is of another TFLite format than the float32 of the reference."""
    return data.precision != "float32" and (cost == "bytes" or (cost == "latency" and data.device is None))


def counted_on_eval(accuracy: float, images: int) -> str:
    """Returns the count and interval of a eval accuracy; empty if the number of images is unknown."""
    return phrases.counted(EvalResult.from_counts("", images=images, right=round(accuracy * images))) if images else ""


def _best(history: dict[str, list[float]]) -> float:
    return max(history["val_accuracy"])


def _widths(trial: Trial) -> str:
    widths = {"tail": trial.tail_units, "head": trial.head_units}
    return ", ".join(f"{name} {width}" for name, width in widths.items() if width) or "none"


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
    layers = [_heat(x, y, "shade", ["a", "b", "r2"]), *([text] if len(columns) <= MOST_CLASSES else [])]
    return _chart(
        {"data": {"values": cells}, "layer": layers},
        height=len(rows) * (30 if len(rows) < 8 else 18),
        description="Share of the variance of B's original input that each translator explains",
    )


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
    return _chart(
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
    return _chart(
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
    return _chart(
        {
            "data": {"values": cells},
            "layer": [
                _heat(x, y, "share", ["class", "prediction", "images", {"field": "share", "format": ".1%"}]),
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
    return _chart(
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


def _heat(x: Spec, y: Spec, shade: str, tooltip: list[Any]) -> Spec:
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


def _chart(spec: Spec, *, height: int, description: str) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": height,
        "config": _CONFIG,
        **spec,
    }


def charts(data: ReportData) -> Iterator[tuple[str, Spec]]:
    """Yields all charts of a report, by name."""
    for cost in COST_TITLES:
        spec = pareto(data, cost)
        if spec:
            yield f"pareto-{cost}", spec
    if data.finalists:
        yield "finalists", finalists(data)
    translators = fit(data, [block.name for block in data.network])
    if translators:
        yield "fit", translators
    yield "learning-accuracy", learning(data, "accuracy", "accuracy", ".0%")
    yield "learning-loss", learning(data, "loss", "eval loss", ".2~f")
    yield "confusion-reference", confusion(data, "reference")
    yield "confusion-compressed", confusion(data, "compressed")
    yield "by-class", by_class(data)
