"""The search's trials and the costs of their networks."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.artifacts.device_latencies import DeviceLatencies
from components.report.data import Finalist, Trial
from components.report.networks import SearchedNetworks
from compressor_lib.cuts.lookup import find_connection
from compressor_lib.cuts.surgery import create_submodel
from compressor_lib.cuts.translators import TAIL_UNITS
from compressor_lib.deployment.model_metrics import INT8, KIB, REFERENCE, ModelMetrics
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import ConversionError
from compressor_lib.networks.heads import attach_head
from compressor_lib.objective.costs import Yardstick, counted_costs, measure_costs
from compressor_lib.search.hypermodels import HEAD_UNITS, LEARNING_RATE, TAIL_WIDTH

logger = logging.getLogger(__name__)

MEASURED = 8
"""Maximum number of networks whose size and latency are measured; each needs a conversion, which takes seconds."""


def read_trials(
    path: Path,
    networks: SearchedNetworks,
    *,
    cost: str,
    metrics: ModelMetrics,
    class_names: Sequence[str],
    precision: Precision = "float32",
    measured: int = MEASURED,
    device: DeviceLatencies | None = None,
) -> list[Trial]:
    """Reads a search's report and adds costs that it does not contain.

    MACs are counted for every network. Bytes, latency and memory are measured for the trials that no other trial
    beats in both accuracy and parameters. Latencies are measured next to the reference model, whose latency is known,
    so that all latencies in a report are comparable, however fast the machine is at the time. Latencies that the search
    measured are kept. The winner is the deployed network and has its figures. Networks that do not convert to TFLite
    have none of these. If the reference model does not convert, no trial has a latency.

    Args:
        path: Path of the search's report.
        networks: The networks that the search tried.
        cost: The cost that the search reduced.
        metrics: Metrics of the deployed model.
        class_names: Class names, which are part of the metadata: bytes include the metadata of a deployed file.
        precision: Precision of the files whose bytes and latencies are measured, as in the search.
        measured: Maximum number of networks to measure.
        device: Latencies from the table of a device, which are those of all trials, including the winner.

    Returns:
        The trials, the winner first.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    reference = networks.reference
    classes = int(reference.output_shape[-1])
    front = _front(rows)[:measured]
    timed = metrics.latency.get(REFERENCE)
    names = ["bytes", "memory"] if cost == "latency" or timed is None or device else ["bytes", "memory", "latency"]
    yardstick = None
    logger.info("measuring %d networks of the search", len(front) - 1)
    trials = []
    for row in rows:
        is_winner = row is rows[0]
        tail, head = _widths(row["hyperparameters"])
        costs = {"parameters": float(row["parameters"]), cost: float(row["cost"])}
        base = networks.base(row["backbone"], row["input_size"])
        connection = find_connection(row["connection"], base)
        counted = counted_costs(base, connection, classes, tail_units=tail, head_units=head)
        if counted["parameters"] != row["parameters"]:
            # A budget made the tail narrower than its hyperparameter.
            logger.info("%s differs in width from its hyperparameters: not measured", row["connection"])
        else:
            costs |= {"macs": float(counted["macs"])}
        if row in front and "macs" in costs and not is_winner:
            network = attach_head(create_submodel(base, connection, tail_units=tail), classes, units=head)
            if "latency" in names and timed:
                yardstick = yardstick or Yardstick.of(reference, timed.median)
            try:
                costs |= measure_costs(network, names, yardstick, class_names, precision=precision)
            except ConversionError as error:
                logger.info("%s is not measured: %s", row["connection"], error)
        if is_winner and precision in metrics.bytes:
            costs |= {"bytes": float(metrics.bytes[precision]), "latency": metrics.latency[precision].median}
        if is_winner and INT8 in metrics.memory:
            costs |= {"memory": metrics.memory[INT8] / KIB}
        if device is not None:
            costs |= {"latency": device.trials[row["trial_id"]]}
        trials.append(
            Trial(
                backbone=row["backbone"],
                input_size=row["input_size"],
                connection=row["connection"],
                family=connection.kind.family,
                accuracy=row["accuracy"],
                score=row["score"],
                within_budget=row["within_budget"],
                seconds=row["seconds"],
                costs=costs,
                tail_units=tail if connection.is_tail else 0,
                head_units=head,
                learning_rate=float(row["hyperparameters"][LEARNING_RATE]),
            )
        )
    return trials


def read_finalists(path: Path) -> list[Finalist]:
    """Reads the networks that were retrained to choose the winner, which is the first; none without the file."""
    if not path.exists():
        return []
    return [
        Finalist(
            backbone=row["backbone"],
            input_size=row["input_size"],
            connection=row["connection"],
            parameters=row["parameters"],
            before=row["accuracy_before"],
            accuracy=row["accuracy"],
            score=row["score"],
            epochs=row["history"]["val_accuracy"],
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def _front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the winner and the trials whose accuracy no smaller trial reaches, the most accurate first."""
    front: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["parameters"], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return rows[:1] + [row for row in reversed(front) if row is not rows[0]]


def _widths(hyperparameters: Mapping[str, Any]) -> tuple[int, int]:
    return int(hyperparameters.get(TAIL_WIDTH, TAIL_UNITS)), int(hyperparameters.get(HEAD_UNITS, 0))
