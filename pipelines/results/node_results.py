"""Describes the result of a node in a few words, read from its artifacts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor_lib.deployment import phrases
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.gate import Verdict
from compressor_lib.deployment.model_metrics import REFERENCE, read_figures
from compressor_lib.errors import CompressorError
from compressor_lib.pretraining.bank_files import MANIFEST
from pipelines.results.file_names import HISTORY_FILE, SEARCH_REPORT_FILE, SUMMARY_FILE, VERDICT_FILE
from pipelines.results.lineage import number_of, time_of

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Artifact

    from pipelines.results.lineage import Artifacts

_SAVED_MODEL = "Format-Serving"
"""Folder of an exported model in TFX's model artifact."""
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, CompressorError)
"""Errors on reading files of another version, or files that were deleted meanwhile."""


def result_of(outputs: Artifacts, *, cached: bool = False) -> str:
    """Describes the result of a node.

    Args:
        outputs: Its artifacts, by output key.
        cached: Whether an earlier run made them.

    Returns:
        A few words; empty if there is nothing to report, or the files cannot be read.
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
    folder = Path(artifact.uri)
    if (folder / SEARCH_REPORT_FILE).exists():
        return _best_trial(folder)
    members = sorted(path.parent for path in folder.glob(f"*/{SEARCH_REPORT_FILE}"))
    return "; ".join(f"{member.name} {_best_trial(member)}" for member in members)


def _best_trial(folder: Path) -> str:
    best = json.loads((folder / SEARCH_REPORT_FILE).read_text(encoding="utf-8"))[0]
    accuracy = _accuracy(best["accuracy"], best.get("examples", 0))
    chosen = best.get("hyperparameters", {})
    # The connection comes last, because a narrow terminal cuts off the end.
    cut = phrases.cut(best["connection"], chosen.get("backbone"), chosen.get("input_size"))
    return f"accuracy {accuracy}, {best['parameters']:,} parameters: {cut}"


def _evaluation(artifact: Artifact, cached: bool) -> str:
    verdict = Verdict.from_json(Path(artifact.uri, VERDICT_FILE).read_text(encoding="utf-8"))
    outcome = "blessed" if verdict.blessed else "not blessed"
    return f"{outcome}, accuracy {phrases.accuracy(verdict.overall)} on the test split"


def _pushed_model(artifact: Artifact, cached: bool) -> str:
    if not number_of(artifact, "pushed"):
        return "nothing pushed"
    version = os.path.basename(artifact.custom_properties["pushed_destination"].string_value)
    since = f", pushed {time_of(artifact):%Y-%m-%d %H:%M}" if cached else ""
    return f"version {version}{since}" if version else ""


def _model(artifact: Artifact, cached: bool) -> str:
    """Describes the Converter's model. Other nodes with a model match another key first, or have measured nothing."""
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
"""The function that describes a node's result, by output key."""


def _accuracy(share: float, images: int) -> str:
    """Formats an accuracy with its count and interval, or alone if the number of images is unknown."""
    if not images:
        return phrases.percent(share)
    return phrases.accuracy(EvalResult.from_counts("", images=images, right=round(share * images)))


def _read(artifact: Artifact, name: str) -> Any:
    return json.loads(Path(artifact.uri, name).read_text(encoding="utf-8"))
