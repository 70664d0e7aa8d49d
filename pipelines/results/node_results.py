"""What a node has made, in a few words, read from its artifacts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.artifacts.file_names import HISTORY_FILE, SEARCH_REPORT_FILE, SUMMARY_FILE, VERDICT_FILE
from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.model_metrics import REFERENCE, read_figures
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank_files import MANIFEST
from pipelines.results.lineage import number_of, time_of

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Artifact

    from pipelines.results.lineage import Artifacts

_SAVED_MODEL = "Format-Serving"
"""Where TFX keeps an exported model in its artifact."""
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, CompressorError)
"""What files of another version raise, or those that were deleted meanwhile."""


def result_of(outputs: Artifacts, *, cached: bool = False) -> str:
    """Says what a node has made.

    Args:
        outputs: Its artifacts, by the output's key.
        cached: Whether an earlier run has made them.

    Returns:
        A few words; empty where there is nothing to say, or the files cannot be read.
    """
    for key, describe in _RESULTS.items():
        if key in outputs:
            try:
                return describe(outputs[key], cached)
            except _UNREADABLE:
                return ""
    return ""


def _examples(artifact: Artifact, cached: bool) -> str:
    images, classes, skipped = (number_of(artifact, name) for name in ("images", "classes", "skipped"))
    if images is None or classes is None:
        return ""
    return f"{images:,} images, {classes} classes" + (f", {skipped:,} skipped" if skipped else "")


def _anomalies(artifact: Artifact, cached: bool) -> str:
    summary = _read(artifact, SUMMARY_FILE)
    count = len(summary["anomalies"])
    images = sum(sum(by_class.values()) for by_class in summary["images"].values())
    classes = len({name for by_class in summary["images"].values() for name in by_class})
    found = f"{count or 'no'} {'anomaly' if count == 1 else 'anomalies'}"
    return f"{images:,} images, {classes} classes, {found}" if classes else found


def _model_run(artifact: Artifact, cached: bool) -> str:
    history = _read(artifact, HISTORY_FILE)
    kept = int(history["best_epoch"][0]) - 1
    (images,) = history.get("eval_images", [0])
    return f"accuracy {_accuracy(history['val_accuracy'][kept], int(images))} on the eval split"


def _translators(artifact: Artifact, cached: bool) -> str:
    r2 = _read(artifact, MANIFEST)["r2"]
    return f"{len(r2)} translators, R2 up to {max(r2.values()):.2f}" if r2 else "no translators"


def _tuner_results(artifact: Artifact, cached: bool) -> str:
    best = _read(artifact, SEARCH_REPORT_FILE)[0]
    # The connection comes last: on a narrow terminal its end is cut off.
    accuracy = _accuracy(best["accuracy"], best.get("examples", 0))
    return f"accuracy {accuracy}, {best['parameters']:,} parameters: {best['connection']}"


def _evaluation(artifact: Artifact, cached: bool) -> str:
    verdict = Verdict.from_json(Path(artifact.uri, VERDICT_FILE).read_text(encoding="utf-8"))
    said = "blessed" if verdict.blessed else "not blessed"
    return f"{said}, accuracy {phrases.accuracy(verdict.overall)} on the test split"


def _pushed_model(artifact: Artifact, cached: bool) -> str:
    if not number_of(artifact, "pushed"):
        return "nothing pushed"
    version = os.path.basename(artifact.custom_properties["pushed_destination"].string_value)
    since = f", pushed {time_of(artifact):%Y-%m-%d %H:%M}" if cached else ""
    return f"version {version}{since}" if version else ""


def _model(artifact: Artifact, cached: bool) -> str:
    """The Converter's: other nodes that make a model say more by another key, or have timed nothing."""
    metrics = read_figures(Path(artifact.uri, _SAVED_MODEL))
    made = [f"{name} {size:,} bytes" for name, size in metrics.bytes.items() if name != REFERENCE]
    return ", ".join([*made, *(f"{name} not converted" for name in metrics.not_converted if name != REFERENCE)])


_RESULTS: dict[str, Callable[[Artifact, bool], str]] = {
    "examples": _examples,
    "anomalies": _anomalies,
    "model_run": _model_run,
    "translators": _translators,
    "tuner_results": _tuner_results,
    "evaluation": _evaluation,
    "pushed_model": _pushed_model,
    "model": _model,
}
"""By the key of the output that tells it."""


def _accuracy(share: float, images: int) -> str:
    """An accuracy with its count and interval, or alone where the number of images was not written."""
    if not images:
        return phrases.percent(share)
    return phrases.accuracy(EvalResult.from_counts("", images=images, right=round(share * images)))


def _read(artifact: Artifact, name: str) -> Any:
    return json.loads(Path(artifact.uri, name).read_text(encoding="utf-8"))
