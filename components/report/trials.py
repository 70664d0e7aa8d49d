"""The search's trials, with what their networks cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from components.report.data import Trial
from compressor_lib.connections import HEAD, TAIL, parse_connection
from compressor_lib.costs import counted_costs
from compressor_lib.deployment.latency import time_models
from compressor_lib.heads import attach_head
from compressor_lib.hypermodels import HEAD_UNITS, LEARNING_RATE, TAIL_WIDTH
from compressor_lib.surgery import create_submodel, without_head
from compressor_lib.tflite import to_tflite
from compressor_lib.translators import TAIL_UNITS

logger = logging.getLogger(__name__)

MEASURED = 8
"""Of how many networks, at most, size and speed are measured; each takes a conversion, which is seconds."""

_SHIPPED = "shipped"
TWO_CUTS = "two cuts"
_SECOND = " & "


def read_trials(
    path: Path, reference: keras.Model, *, cost: str, shipped: bytes, shipped_ms: float, measured: int = MEASURED
) -> list[Trial]:
    """Reads a search's report, and adds what it does not tell.

    Multiply-adds are counted for every network with one cut. Bytes and latency are measured for those that no other
    trial beats in both accuracy and parameters. Their TFLite models are timed in turns with the shipped one, and what
    is told is the shipped one's known latency times that ratio: so all figures of the report fit together, however
    fast the machine is at the time. A latency that the search itself saved is left as the search measured it, but of
    the winner, whose network is the shipped one.

    Args:
        path: The search's report.
        reference: The classifier that was cut.
        cost: What the search saved.
        shipped: The compressed model's TFLite file in float32.
        shipped_ms: Its latency.
        measured: How many networks are measured at most.

    Returns:
        The trials, the winner first.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    classes = int(reference.output_shape[-1])
    base = without_head(reference)
    front = _front(rows)[:measured]
    trials: list[Trial] = []
    files: dict[str, bytes] = {}
    for number, row in enumerate(rows):
        family = _family(row["connection"])
        tail, head = _widths(row["hyperparameters"])
        costs = {"parameters": float(row["parameters"]), cost: float(row["cost"])}
        if number == 0:
            costs |= {"bytes": float(len(shipped)), "latency": shipped_ms}
        if family != TWO_CUTS:
            connection = parse_connection(row["connection"], base)
            counted = counted_costs(base, connection, classes, tail_units=tail, head_units=head)
            if counted["parameters"] != row["parameters"]:
                # A budget made the tail narrower than its hyperparameter says.
                logger.info("%s has other widths than its hyperparameters say: not measured", row["connection"])
            else:
                costs |= {"flops": float(counted["flops"])}
            if number and row in front and "flops" in costs:
                network = attach_head(create_submodel(base, connection, tail_units=tail), classes, units=head)
                files[str(number)] = to_tflite(network)
                costs |= {"bytes": float(len(files[str(number)]))}
        trials.append(
            Trial(
                connection=row["connection"],
                family=family,
                accuracy=row["accuracy"],
                score=row["score"],
                within_budget=row["within_budget"],
                seconds=row["seconds"],
                costs=costs,
                tail_units=tail if family == "tail" else 0,
                head_units=head,
                learning_rate=float(row["hyperparameters"][LEARNING_RATE]),
            )
        )
    if files and cost != "latency":
        logger.info("timing %d networks of the search in turns with the shipped one", len(files))
        timings = time_models({_SHIPPED: shipped, **files})
        for number in files:
            trials[int(number)].costs["latency"] = shipped_ms / timings.speedup(number, _SHIPPED).ratio
    return trials


def _front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The winner, and the trials that no smaller one equals in accuracy, the most accurate first."""
    front: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["parameters"], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return rows[:1] + [row for row in reversed(front) if row is not rows[0]]


def _widths(hyperparameters: Mapping[str, Any]) -> tuple[int, int]:
    return int(hyperparameters.get(TAIL_WIDTH, TAIL_UNITS)), int(hyperparameters.get(HEAD_UNITS, 0))


def _family(connection: str) -> str:
    if _SECOND in connection:
        return TWO_CUTS
    return {TAIL: "tail", HEAD: "truncation"}.get(connection.rpartition("->")[2], "rejoined")
