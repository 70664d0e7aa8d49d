"""Sizes and latencies of an exported model, and the file in its folder that stores them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from compressor_lib.errors import CompressorError

EXTRA = "assets.extra"
"""The subfolder of a SavedModel for additional files."""
FIGURES_FILE = "figures.json"

REFERENCE = "reference"
"""Key of the float32 reference model among latencies and sizes. The other keys are precisions."""

KIB = 1024

INT8 = "int8"
"""Key of the model's memory, which is that of its activations in int8."""


@dataclass(frozen=True)
class Latency:
    """The time that a TFLite model takes for one image, with one thread.

    Attributes:
        median: Median in milliseconds.
        low: Lower end of the median's confidence interval.
        high: Upper end of the interval.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Speedup:
    """The speedup of a TFLite model over the reference model.

    Attributes:
        ratio: The reference model's time divided by the model's time. Above 1, the model is faster.
        low: Lower end of the ratio's confidence interval.
        high: Upper end of the interval.
    """

    ratio: float
    low: float
    high: float

    @property
    def is_measurable(self) -> bool:
        """Whether the speeds differ: the whole interval is on one side of 1."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True)
class ModelMetrics:
    """Sizes and latencies of an exported model.

    Attributes:
        parameters: Number of parameters, trainable or not.
        latency: Latencies, by precision and ``REFERENCE`` for the reference model; empty if nothing was timed.
        speedup: Speedups over the float32 reference model, by precision; empty if the reference model was not timed.
        bytes: Sizes of the TFLite files with metadata, by the same keys as ``latency``.
        not_converted: Reasons for missing TFLite models, by the same keys.
        input_size: Height and width of the model's images, in pixels; None in a folder of an earlier version.
        memory: Peak memory for activations in int8, in bytes, under ``INT8`` for the model, whatever its precisions,
            and under ``REFERENCE``; see :mod:`compressor_lib.deployment.activation_memory`. A model that does not
            convert to any precision has none.
    """

    parameters: int
    latency: dict[str, Latency] = field(default_factory=dict)
    speedup: dict[str, Speedup] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    not_converted: dict[str, str] = field(default_factory=dict)
    input_size: int | None = None
    memory: dict[str, int] = field(default_factory=dict)

    def without(self, names: Iterable[str]) -> ModelMetrics:
        """Returns a copy without the figures of some precisions."""
        gone = set(names)
        latency, speedup, size = (
            {name: value for name, value in figures.items() if name not in gone}
            for figures in (self.latency, self.speedup, self.bytes)
        )
        return replace(self, latency=latency, speedup=speedup, bytes=size)  # type: ignore[arg-type]


def figures_path(folder: str | Path) -> Path:
    """Returns the path of the figures in an exported folder."""
    return Path(folder) / EXTRA / FIGURES_FILE


def write_figures(folder: str | Path, metrics: ModelMetrics) -> None:
    """Writes the figures of an exported model to its folder."""
    figures_path(folder).write_text(json.dumps(asdict(metrics), indent=1) + "\n", encoding="utf-8")


def read_figures(folder: str | Path) -> ModelMetrics:
    """Reads the figures of an exported model, without loading it.

    Args:
        folder: The exported folder. Folders written before latencies were stored have none.

    Raises:
        CompressorError: If the file is missing or does not hold figures.
    """
    path = figures_path(folder)
    if not path.is_file():
        raise CompressorError(f"{path} is missing: give the folder of an exported model.")
    return parse_figures(path.read_bytes(), path)


def parse_figures(content: bytes, path: str | Path) -> ModelMetrics:
    """Parses the content of a file of figures.

    Args:
        content: The file's content.
        path: Path of the file, for the error message.

    Raises:
        CompressorError: If the content does not hold figures.
    """
    try:
        return _metrics(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CompressorError(f"{path} does not hold a model's figures ({error}): export the model again.") from error


def _metrics(values: Mapping[str, Any]) -> ModelMetrics:
    return ModelMetrics(
        parameters=int(values["parameters"]),
        latency={name: Latency(**one) for name, one in values.get("latency", {}).items()},
        speedup={name: Speedup(**one) for name, one in values.get("speedup", {}).items()},
        bytes={name: int(one) for name, one in values.get("bytes", {}).items()},
        not_converted={name: str(one) for name, one in values.get("not_converted", {}).items()},
        input_size=values.get("input_size"),
        memory={name: int(one) for name, one in values.get("memory", {}).items()},
    )
