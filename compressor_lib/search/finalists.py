"""Retrains the best networks of a search for a few epochs, because that may change their ranking.

Trials are ranked on a frozen backbone. Retraining trains all layers, and some networks gain more from it than others.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import keras
import keras_tuner as kt
import tensorflow as tf

from compressor_lib.search.run import TrialReport, trial_reports, trials_within_budget
from compressor_lib.search.space import SearchSpace
from compressor_lib.training.options import TrainingOptions
from compressor_lib.training.train import train

logger = logging.getLogger(__name__)

Datasets = Callable[[int], Sequence[tf.data.Dataset]]
"""Returns the training and the validation data with images of the given height and width in pixels."""


@dataclass(frozen=True)
class Finalist:
    """A network of the search that was retrained.

    Attributes:
        trial_id: ID of its trial.
        backbone: Name of the backbone.
        input_size: Height and width of its images, in pixels.
        connection: The connection, by layer names.
        parameters: Number of parameters of the whole classifier.
        cost: The cost in the objective.
        accuracy_before: Accuracy on the validation data in its trial.
        accuracy: Accuracy on the validation data at the best epoch of the retraining.
        score: Objective at that epoch.
        history: Loss and accuracy by epoch, see :func:`compressor_lib.training.train.train`.
    """

    trial_id: str
    backbone: str
    input_size: int
    connection: str
    parameters: int
    cost: float
    accuracy_before: float
    accuracy: float
    score: float
    history: dict[str, list[float]]


def retrain_finalists(
    tuner: kt.Tuner,
    hypermodel: SearchSpace,
    datasets: Datasets,
    options: TrainingOptions,
    directory: str | Path,
    *,
    count: int,
    class_weights: Sequence[float] | None = None,
    seed: int = 0,
) -> tuple[list[Finalist], keras.Model]:
    """Retrains the best networks of a search, and chooses between them by the result.

    Args:
        tuner: The tuner after the search. The chosen trial becomes its ``winner``.
        hypermodel: The hypermodel of the search.
        datasets: The data, as :func:`compressor_lib.training.train.train` takes them.
        options: How the networks are retrained.
        directory: Folder for the checkpoints, from which an interrupted call resumes.
        count: Maximum number of networks, at least 1.
        class_weights: Weight of each class in the loss.
        seed: Seed of the augmentation and of dropout.

    Returns:
        The finalists, the chosen one first (see :func:`ranked_finalists`), and its retrained network.

    Raises:
        CompressorError: If no trial meets the budgets.
    """
    trials_within_budget(tuner, hypermodel)  # says so if there is none
    finalists, models = [], {}
    chosen = distinct_networks(trial_reports(tuner, hypermodel), count)
    for number, report in enumerate(chosen, 1):
        logger.info("retraining finalist %d of %d: %s", number, len(chosen), report.connection)
        folder = Path(directory, report.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        # Dropout takes its seed as the network is built, so that it must not depend on what ran before.
        keras.utils.set_random_seed(seed)
        model = tuner.load_model(tuner.oracle.trials[report.trial_id])
        train_dataset, eval_dataset = datasets(model.input_shape[1])
        history = train(
            model,
            train_dataset,
            eval_dataset,
            options,
            class_weights=class_weights,
            checkpoint=folder / "checkpoint.npz",
            seed=seed,
        )
        accuracy = history["val_accuracy"][int(history["best_epoch"][0]) - 1]
        score = hypermodel.tau * accuracy + (1 - hypermodel.tau) * report.compression
        finalists.append(
            Finalist(
                trial_id=report.trial_id,
                backbone=report.backbone,
                input_size=report.input_size,
                connection=report.connection,
                parameters=report.parameters,
                cost=report.cost,
                accuracy_before=report.accuracy,
                accuracy=accuracy,
                score=score,
                history=history,
            )
        )
        models[report.trial_id] = model
        logger.info("%s: validation accuracy %.3f, before %.3f", report.connection, accuracy, report.accuracy)
    ranked = ranked_finalists(finalists, hypermodel, examples=chosen[0].examples)
    tuner.winner = ranked[0].trial_id
    return ranked, models[tuner.winner]


def finalist_training(retraining: TrainingOptions, epochs: int) -> TrainingOptions:
    """Returns how finalists are retrained.

    Args:
        retraining: How the winner is retrained later. A teacher is left out, because it costs more than the finalists.
        epochs: Number of epochs.
    """
    given = {field.name: getattr(retraining, field.name) for field in fields(TrainingOptions)}
    return TrainingOptions(**{**given, "head_epochs": 0, "epochs": epochs, "compute": None, "distillation": None})


def distinct_networks(reports: Sequence[TrialReport], count: int) -> list[TrialReport]:
    """Returns the best trials of different networks within the budgets.

    Two trials have the same network if their backbones, image sizes, connections and numbers of parameters are equal,
    so if they differ in the learning rate alone.

    Args:
        reports: The trials, the best first.
        count: Maximum number of networks.
    """
    first: dict[tuple[str, int, str, int], TrialReport] = {}
    for report in reports:
        if report.within_budget:
            network = report.backbone, report.input_size, report.connection, report.parameters
            first.setdefault(network, report)
    return list(first.values())[:count]


def ranked_finalists(finalists: Sequence[Finalist], hypermodel: SearchSpace, examples: int) -> list[Finalist]:
    """Sorts finalists by score, after the chosen one.

    The validation data cannot tell a network from the best one if its accuracy is lower by at most one standard error.
    Of all such networks the cheapest is chosen. If only accuracy counts, within budgets (``tau`` 1), it is the one with
    the most parameters, as in :func:`compressor_lib.search.run.best_first`.

    Args:
        finalists: The finalists.
        hypermodel: The hypermodel of the search.
        examples: Number of validation examples; 0 if unknown, so that the best score alone counts.
    """
    ordered = sorted(finalists, key=lambda finalist: finalist.score, reverse=True)
    best = ordered[0]
    error = math.sqrt(best.accuracy * (1 - best.accuracy) / examples) if examples else 0.0
    alike = [finalist for finalist in ordered if finalist.score >= best.score - hypermodel.tau * error]
    if hypermodel.tau == 1 and hypermodel.budgets.limits:
        winner = max(alike, key=lambda finalist: finalist.parameters)
    else:
        winner = min(alike, key=lambda finalist: finalist.cost)
    return [winner, *(finalist for finalist in ordered if finalist is not winner)]


def write_finalists(finalists: Sequence[Finalist], path: Path) -> None:
    """Writes the finalists as a JSON list."""
    path.write_text(json.dumps([asdict(finalist) for finalist in finalists], indent=2))
