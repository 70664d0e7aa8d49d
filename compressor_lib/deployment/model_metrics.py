"""What is counted and timed of an exported model, and the file in its folder that keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from compressor_lib.errors import CompressorError

EXTRA = "assets.extra"
"""A SavedModel's own folder for files that travel with it."""
FIGURES_FILE = "figures.json"

REFERENCE = "reference"
"""The uncompressed model's key, in float32, among latencies and sizes; the others are precisions."""


@dataclass(frozen=True)
class Latency:
    """How long a TFLite model takes for one image, on one thread.

    Attributes:
        median: In milliseconds.
        low: Lower end of the median's confidence interval.
        high: Its upper end.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Speedup:
    """How many times as fast as the reference model a TFLite model is.

    Attributes:
        ratio: The reference's time by the model's; above 1 the model is faster.
        low: Lower end of the ratio's confidence interval.
        high: Its upper end.
    """

    ratio: float
    low: float
    high: float

    @property
    def is_measurable(self) -> bool:
        """Whether a difference was measured: the interval lies on one side of 1."""
        return not self.low <= 1 <= self.high


@dataclass(frozen=True)
class ModelMetrics:
    """What is counted and timed of an exported model.

    Attributes:
        parameters: All its numbers, trainable or not.
        latency: By precision, and of the reference model by ``REFERENCE``; empty where nothing was timed.
        speedup: Against the reference model in float32, by precision; empty where that has no TFLite model, too.
        bytes: Of the TFLite files with their metadata, by the same names as ``latency``.
        not_converted: Why there is no TFLite model, by the same names: those that have none.
    """

    parameters: int
    latency: dict[str, Latency] = field(default_factory=dict)
    speedup: dict[str, Speedup] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    not_converted: dict[str, str] = field(default_factory=dict)

    def without(self, names: Iterable[str]) -> ModelMetrics:
        """The same without the figures of some precisions."""
        gone = set(names)
        latency, speedup, size = (
            {name: value for name, value in figures.items() if name not in gone}
            for figures in (self.latency, self.speedup, self.bytes)
        )
        return ModelMetrics(self.parameters, latency, speedup, size, self.not_converted)  # type: ignore[arg-type]


def figures_path(folder: str | Path) -> Path:
    """Returns where an exported folder keeps its figures."""
    return Path(folder) / EXTRA / FIGURES_FILE


def write_figures(folder: str | Path, metrics: ModelMetrics) -> None:
    """Writes the figures of an exported model into its folder."""
    figures_path(folder).write_text(json.dumps(asdict(metrics), indent=1) + "\n", encoding="utf-8")


def read_figures(folder: str | Path) -> ModelMetrics:
    """Reads the figures of an exported model, without loading it.

    Args:
        folder: The exported folder. One that was written before latencies were kept has none.

    Raises:
        CompressorError: If the file is missing or holds something else.
    """
    path = figures_path(folder)
    if not path.is_file():
        raise CompressorError(f"{path} is missing: give the folder of an exported model.")
    return parse_figures(path.read_bytes(), path)


def parse_figures(content: bytes, path: str | Path) -> ModelMetrics:
    """Reads figures from the bytes of their file, from wherever it is.

    Args:
        content: The bytes.
        path: Where it is, for the message.

    Raises:
        CompressorError: If it holds something else.
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
    )
