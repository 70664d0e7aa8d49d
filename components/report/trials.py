"""The search's trials, with what their networks cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from components.report.data import Trial
from compressor_lib.cuts.connections import parse_connection
from compressor_lib.cuts.surgery import create_submodel, without_head
from compressor_lib.cuts.translators import TAIL_UNITS
from compressor_lib.deployment.model_metrics import REFERENCE, ModelMetrics
from compressor_lib.deployment.tflite import ConversionError
from compressor_lib.networks.heads import attach_head
from compressor_lib.networks.layer_names import HEAD, TAIL
from compressor_lib.objective.costs import Yardstick, counted_costs, measure_costs
from compressor_lib.search.hypermodels import HEAD_UNITS, LEARNING_RATE, TAIL_WIDTH

logger = logging.getLogger(__name__)

MEASURED = 8
"""Of how many networks, at most, size and speed are measured; each takes a conversion, which is seconds."""


def read_trials(
    path: Path,
    reference: keras.Model,
    *,
    cost: str,
    metrics: ModelMetrics,
    class_names: Sequence[str],
    measured: int = MEASURED,
) -> list[Trial]:
    """Reads a search's report, and adds what it does not tell.

    Multiply-adds are counted for every network. Bytes and latency are measured for those that no other trial beats in
    both accuracy and parameters, latency beside the reference model, whose figure is known: so all figures of a report
    fit together, however fast the machine is at the time. A latency that the search itself took is left as it is. The
    winner is the network that was deployed, and has its figures. What does not convert to TFLite has no bytes and no
    latency; nor has any trial a latency where the reference model does not.

    Args:
        path: The search's report.
        reference: The classifier that was cut.
        cost: What the search saved.
        metrics: Of the deployed model.
        class_names: The classes, which its metadata names: bytes are those of a file that is deployed.
        measured: How many networks are measured at most.

    Returns:
        The trials, the winner first.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    classes = int(reference.output_shape[-1])
    base = without_head(reference)
    front = _front(rows)[:measured]
    timed = metrics.latency.get(REFERENCE)
    names = ["bytes"] if cost == "latency" or timed is None else ["bytes", "latency"]
    yardstick = None
    logger.info("measuring %d networks of the search", len(front) - 1)
    trials = []
    for row in rows:
        is_winner = row is rows[0]
        family = _family(row["connection"])
        tail, head = _widths(row["hyperparameters"])
        costs = {"parameters": float(row["parameters"]), cost: float(row["cost"])}
        connection = parse_connection(row["connection"], base)
        counted = counted_costs(base, connection, classes, tail_units=tail, head_units=head)
        if counted["parameters"] != row["parameters"]:
            # A budget made the tail narrower than its hyperparameter says.
            logger.info("%s has other widths than its hyperparameters say: not measured", row["connection"])
        else:
            costs |= {"macs": float(counted["macs"])}
        if row in front and "macs" in costs and not is_winner:
            network = attach_head(create_submodel(base, connection, tail_units=tail), classes, units=head)
            if "latency" in names and timed:
                yardstick = yardstick or Yardstick.of(reference, timed.median)
            try:
                costs |= measure_costs(network, names, yardstick, class_names)
            except ConversionError as error:
                logger.info("%s is not measured: %s", row["connection"], error)
        if is_winner and "float32" in metrics.bytes:
            costs |= {"bytes": float(metrics.bytes["float32"]), "latency": metrics.latency["float32"].median}
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
    return {TAIL: "tail", HEAD: "truncation"}.get(connection.rpartition("->")[2], "rejoined")
