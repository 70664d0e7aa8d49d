"""What is measured of a deployed model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.deployment.intervals import CONFIDENCE
from compressor_lib.deployment.judged import Judged
from compressor_lib.deployment.model_metrics import Latency, Speedup


@dataclass(frozen=True)
class ModelFigures:
    """What is measured of one model.

    Attributes:
        right: How many of the test split's images it names rightly.
        images: How many the test split has.
        parameters: Number of parameters, the head's included.
        bytes: Size of its TFLite model in float32, with metadata; None where it does not convert.
        latency: That TFLite model's, for one image on one thread; likewise.
    """

    right: int
    images: int
    parameters: int
    bytes: int | None
    latency: Latency | None

    @property
    def accuracy(self) -> float:
        """Share of the test split's images that it names rightly, 0 to 1."""
        return self.right / self.images

    def judged(self, confidence: float = CONFIDENCE) -> Judged:
        """The same with its interval."""
        return Judged.counted("", images=self.images, right=self.right, confidence=confidence)


@dataclass(frozen=True)
class FormatFigures:
    """What is measured of one TFLite model; its accuracy stands in the gate's verdict.

    Attributes:
        file: Its file's name.
        bytes: The file's size.
        latency: For one image on one thread.
        speedup: Against the reference model in float32; None where that does not convert.
    """

    file: str
    bytes: int
    latency: Latency
    speedup: Speedup | None
