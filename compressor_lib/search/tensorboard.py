"""Writes a search for TensorBoard: one run per trial, compared in the HParams view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api

from compressor_lib.search.run import TrialReport

METRICS = ("accuracy", "parameters", "compression", "score")
"""Metrics to compare, by their names in :class:`compressor_lib.search.run.TrialReport`."""


def write_summaries(reports: Sequence[TrialReport], folder: str | Path) -> None:
    """Writes the trials of a search for ``tensorboard --logdir``.

    Args:
        reports: The trials.
        folder: Target folder. Each trial gets a subfolder, named by its ID.

    Example:
        >>> write_summaries(trial_reports(tuner, hypermodel), "logs/search")  # doctest: +SKIP
    """
    values = [_hyperparameters(report) for report in reports]
    names = dict.fromkeys(name for trial in values for name in trial)
    with tf.summary.create_file_writer(str(folder)).as_default():
        api.hparams_config(
            hparams=[api.HParam(name) for name in names],
            metrics=[api.Metric(metric, display_name=metric) for metric in METRICS],
        )
    for report, hyperparameters in zip(reports, values, strict=True):
        with tf.summary.create_file_writer(str(Path(folder, report.trial_id))).as_default():
            api.hparams(hyperparameters, trial_id=report.trial_id)
            for metric in METRICS:
                tf.summary.scalar(metric, getattr(report, metric), step=0)


def _hyperparameters(report: TrialReport) -> dict[str, bool | float | int | str]:
    """Returns the searched hyperparameters, without keras-tuner's internal ones."""
    return {name: value for name, value in report.hyperparameters.items() if not name.startswith("tuner/")}
