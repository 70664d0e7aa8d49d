"""Measurements of a deployed model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.intervals import CONFIDENCE
from compressor_lib.deployment.model_metrics import Latency, Speedup


@dataclass(frozen=True)
class ModelFigures:
    """Measurements of one model.

    Attributes:
        right: Number of test images that the model classifies correctly.
        images: Number of test images.
        parameters: Number of parameters, including the head's.
        bytes: Size of the float32 TFLite file with metadata; None if the model does not convert.
        latency: Latency of the float32 TFLite model for one image on one thread; None if it does not convert.
        input_size: Height and width of its images, in pixels; None in a report of an earlier version.
        memory: Peak memory for activations in int8, in bytes; None if the model does not convert.
    """

    right: int
    images: int
    parameters: int
    bytes: int | None
    latency: Latency | None
    input_size: int | None = None
    memory: int | None = None

    @property
    def accuracy(self) -> float:
        """Share of the test images that the model classifies correctly, 0 to 1."""
        return self.right / self.images

    def result(self, confidence: float = CONFIDENCE) -> EvalResult:
        """Returns the accuracy with its confidence interval."""
        return EvalResult.from_counts("", images=self.images, right=self.right, confidence=confidence)


@dataclass(frozen=True)
class FormatFigures:
    """Measurements of one TFLite model. Its accuracy is in the gate's verdict.

    Attributes:
        file: Name of the file.
        bytes: Size of the file.
        latency: Latency for one image on one thread.
        speedup: Speedup over the float32 reference model; None if the reference model does not convert.
    """

    file: str
    bytes: int
    latency: Latency
    speedup: Speedup | None
