"""What is measured of a run's TFLite files: once, and then kept."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from compressor_lib.files import replace_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurements:
    """What is measured of several TFLite files.

    Attributes:
        milliseconds: Median time for one picture, on one thread, by the file's name.
        accuracies: Share of the test split's pictures named rightly, 0 to 1, likewise.
    """

    milliseconds: dict[str, float]
    accuracies: dict[str, float]


def measure(
    kept: Path, models: Mapping[str, Path], *, judged: Collection[str], examples: str, size: int
) -> Measurements:
    """Measures TFLite files, or reads what was measured of the same ones before.

    All are timed in alternation, so that what else the machine does hits all alike.

    Args:
        kept: File that keeps the measurements and what they were made on.
        models: TFLite files by name.
        judged: Names of those whose accuracy is measured.
        examples: URI of the transformed Examples; their test split is judged on.
        size: Height and width of the pictures in pixels.

    Returns:
        The time of all, the accuracy of those that are judged.
    """
    measured_on = {
        "models": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in models.items()},
        "judged": sorted(judged),
        "examples": examples,
    }
    with suppress(OSError, ValueError, KeyError, TypeError):  # what is not there, or damaged, is measured anew
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["measured_on"] == measured_on:
            return Measurements(**content["measurements"])
    measurements = _measure(models, judged, examples, size)
    content = {"measured_on": measured_on, "measurements": asdict(measurements)}
    replace_file(kept, json.dumps(content, indent=2) + "\n")
    return measurements


def _measure(models: Mapping[str, Path], judged: Collection[str], examples: str, size: int) -> Measurements:
    from components.examples import picture_dataset, split_patterns
    from compressor_lib.measure import latency_ms, tflite_accuracy

    logger.info("timing %s", ", ".join(models))
    milliseconds = latency_ms(models)
    logger.info("judging %s on the test split", ", ".join(judged))
    pictures = picture_dataset(split_patterns(examples, "test"), size=size, batch_size=64)
    return Measurements(milliseconds, tflite_accuracy({name: models[name] for name in judged}, pictures))
