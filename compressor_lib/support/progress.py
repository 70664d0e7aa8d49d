"""How far a long piece of work is, told through Python's own logging.

Whoever wants to show it reads it off the log record; everyone else, a task's log on a cluster among them, has a line
that can be read as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from compressor_lib.deployment import phrases
from compressor_lib.deployment.judged import Judged


@dataclass(frozen=True)
class BestTrial:
    """The best of a search's trials so far.

    Attributes:
        connection: By layer names.
        parameters: Of the whole classifier.
        accuracy: On the validation data, 0 to 1.
        score: The objective there.
        images: How many those data are; 0 where they were not counted.
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
            accuracy = phrases.accuracy(Judged.counted("", images=self.images, right=right))
        return f"{self.connection} ({self.parameters:,} parameters, accuracy {accuracy}, score {self.score:.4f})"


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        unit: What is counted: ``"trial"``, ``"epoch"`` or ``"image"``.
        step: How many are done; a fraction within an epoch.
        total: How many there will be, at most; None where nobody knows.
        detail: What the last one came to; empty for a mere tick between two of them.
        best: In a search.

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


def tell(logger: logging.Logger, progress: Progress, *, level: int = logging.INFO) -> None:
    """Logs how far a piece of work is.

    Args:
        logger: Of the module that does the work.
        progress: How far it is. A tick is logged for those who debug, or watch.
        level: Of anything but a tick.
    """
    logger.log(level if progress.detail else logging.DEBUG, "%s", progress, extra={"progress": progress}, stacklevel=2)


def progress_in(record: logging.LogRecord) -> Progress | None:
    """What :func:`tell` logged; None for any other record."""
    return getattr(record, "progress", None)
