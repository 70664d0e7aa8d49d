"""The charts of accuracy against each cost."""

from __future__ import annotations

from components.report.data import ReportData, Trial
from components.report.front import front, marked, marking, trial_of
from components.report.vega import Spec, chart
from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.figures import ModelFigures
from compressor_lib.deployment.model_metrics import KIB

COST_TITLES = {
    "parameters": "parameters",
    "macs": "MACs per image",
    "bytes": "bytes of the TFLite file",
    "latency": "milliseconds per image",
    "memory": "KiB of memory in int8",
}
"""Axis titles of the costs."""

EVAL = "eval"
"""The split on which trials are scored."""


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
    return chart(
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
