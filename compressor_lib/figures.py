"""What is measured of a deployed model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFigures:
    """What is measured of one model.

    Attributes:
        accuracy: Share of the test split's pictures named rightly, 0 to 1.
        parameters: Number of parameters, the head's included.
        bytes: Size of the TFLite twin.
        milliseconds: Median time of the TFLite twin for one picture, on one thread.
    """

    accuracy: float
    parameters: int
    bytes: int
    milliseconds: float


@dataclass(frozen=True)
class FormatFigures:
    """What is measured of one TFLite twin.

    Attributes:
        bytes: Size of the file.
        milliseconds: Median time for one picture, on one thread.
        accuracy: Share of the test split's pictures named rightly, 0 to 1.
    """

    bytes: int
    milliseconds: float
    accuracy: float
