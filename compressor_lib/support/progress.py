"""Reports the progress of long-running work through Python's logging.

A log record carries the progress as an object, for progress displays, and as a readable message, for plain logs such as
those of a task on a cluster.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a search so far.

    Attributes:
        connection: The connection, by layer names, with its backbone and image size where there is a choice.
        parameters: Number of parameters of the whole classifier.
        accuracy: Accuracy on the validation data, 0 to 1.
        score: Objective on the validation data.
        images: Number of validation images; 0 if they were not counted.
    """

    connection: str
    parameters: int
    accuracy: float
    score: float
    images: int = 0

    def __str__(self) -> str:
        accuracy = phrases.percent(self.accuracy)
        if self.images:
            right = round(self.accuracy * self.images)
            accuracy = phrases.accuracy(EvalResult.from_counts("", images=self.images, right=right))
        return f"{self.connection} ({self.parameters:,} parameters, accuracy {accuracy}, score {self.score:.4f})"


@dataclass(frozen=True)
class Progress:
    """The progress of a piece of work.

    Attributes:
        unit: The unit that is counted: ``"trial"``, ``"epoch"`` or ``"image"``.
        step: Number of finished units; fractional within an epoch.
        total: Maximum number of units; None if it is not known.
        detail: Result of the last unit; empty for updates between two units.
        best: The best trial so far, in a search.

    Example:
        >>> str(Progress("epoch", 3, 18, "loss 0.412"))
        'epoch 3/18: loss 0.412'
    """

    unit: str
    step: float
    total: int | None = None
    detail: str = ""
    best: BestTrial | None = None

    def __str__(self) -> str:
        words = f"{self.unit} {int(self.step)}" + (f"/{self.total}" if self.total else "")
        words += f": {self.detail}" if self.detail else ""
        return words + (f"; best so far {self.best}" if self.best else "")


def log_progress(logger: logging.Logger, progress: Progress, *, level: int = logging.INFO) -> None:
    """Logs the progress of a piece of work.

    Args:
        logger: Logger of the module that does the work.
        progress: The progress. Updates without detail are logged at level DEBUG.
        level: Log level of updates with detail.
    """
    logger.log(level if progress.detail else logging.DEBUG, "%s", progress, extra={"progress": progress}, stacklevel=2)


def progress_in(record: logging.LogRecord) -> Progress | None:
    """Returns the progress that :func:`log_progress` logged; None for any other record."""
    return getattr(record, "progress", None)
