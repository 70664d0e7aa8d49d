"""Report's work: asks both models the test split, gathers what the nodes before found, writes the page."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.evaluator.executor import read_verdict
from components.examples import picture_dataset, split_patterns
from components.pruning_search.executor import REPORT_FILE
from components.report.advice import advice
from components.report.answers import compare_answers, right_and_all
from components.report.data import Answers, ReportData
from components.report.network import network_blocks
from components.report.page import write_page
from components.report.pictures import summarise_pictures
from components.report.trials import read_trials
from components.report.versions import versions
from components.storage import mounted_artifacts
from compressor_lib.bank import TranslatorBank
from compressor_lib.deployment.intervals import paired_change
from compressor_lib.deployment.model_metrics import REFERENCE, Latency, read_figures
from compressor_lib.deployment.phrases import measured
from compressor_lib.export import load_keras, read_classes, tflite_path, tflite_paths
from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.gate import Figure, Judged, Verdict

logger = logging.getLogger(__name__)

HISTORY = "history.json"
_BATCH = 64


class Executor(base_executor.BaseExecutor):
    """Makes the report of a run."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.report.component.Report`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        uris = {key: artifact_utils.get_single_uri(artifacts) for key, artifacts in input_dict.items()}
        with mounted_artifacts(input_dict, output_dict):
            inputs = {key: artifact_utils.get_single_instance(artifacts) for key, artifacts in input_dict.items()}
            data = gather(inputs, exec_properties, uris)
            folder = Path(artifact_utils.get_single_uri(output_dict["report"]))
            folder.mkdir(parents=True, exist_ok=True)
            data.write(folder)
            write_page(data, folder)


def gather(inputs: dict[str, types.Artifact], parameters: dict[str, Any], uris: dict[str, str]) -> ReportData:
    """Gathers what a report tells.

    Args:
        inputs: The component's, by key.
        parameters: Likewise.
        uris: Where the inputs are for others than this machine.
    """
    config = json.loads(parameters["config"])
    directories = {key: path_utils.serving_model_path(inputs[key].uri) for key in ("reference", "compressed")}
    reference, compressed = (load_keras(directory) for directory in directories.values())
    classes = {role: read_classes(directory) for role, directory in directories.items()}
    test = picture_dataset(
        split_patterns(inputs["transformed_examples"], "test"), size=reference.input_shape[1], batch_size=_BATCH
    )
    logger.info("asking both models the test split")
    answers = compare_answers(
        reference,
        compressed,
        test,
        classes["reference"],
        compressed_classes=classes["compressed"],
    )
    latency_and_speed = read_figures(directories["compressed"])
    shipped = tflite_path(directories["compressed"])
    verdict = read_verdict(inputs["evaluation"].uri)
    is_baseline = config["gate"]["baseline"] == REFERENCE
    reference_score = _reference_score(verdict, answers, is_baseline=is_baseline)
    pushed = inputs["pushed_model"].get_int_custom_property("pushed")
    bank = TranslatorBank.load(inputs["translators"].uri)
    return ReportData(
        name=config["name"],
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        backbone=bank.backbone,
        verdict=verdict,
        pushed_to=inputs["pushed_model"].get_string_custom_property("pushed_destination") or None if pushed else None,
        advice=advice(
            verdict,
            reference_score,
            has_reference_as_baseline=is_baseline,
            has_budgets=any(limit for name, limit in config["search"]["objective"].items() if name.startswith("max_")),
        ),
        reference=_figures(reference_score, directories["reference"], latency_and_speed.latency[REFERENCE]),
        compressed=_figures(verdict.overall, directories["compressed"], latency_and_speed.latency["float32"]),
        change=_change(verdict, answers, is_baseline=is_baseline),
        formats={
            name: FormatFigures(path.name, os.path.getsize(path), latency_and_speed.latency[name], latency_and_speed.speedup[name])
            for name, path in tflite_paths(directories["compressed"]).items()
        },
        trials=read_trials(
            Path(inputs["tuner_results"].uri, REPORT_FILE),
            reference,
            cost=parameters["cost"],
            shipped=shipped.read_bytes(),
            shipped_ms=latency_and_speed.latency["float32"].median,
        ),
        translators={name: one.r2 for name, one in bank.translators.items() if one.r2 is not None},
        network=network_blocks(reference, compressed),
        histories={
            role: json.loads(Path(inputs[f"{role}_run"].uri, HISTORY).read_text(encoding="utf-8"))
            for role in directories
        },
        answers=answers,
        data=summarise_pictures(
            inputs["examples"], inputs["statistics"], inputs["anomalies"], parameters["label_feature"]
        ),
        config=config,
        versions=versions(),
        artifacts=uris,
    )


def _reference_score(verdict: Verdict, answers: Answers, *, is_baseline: bool) -> Judged:
    """The reference model on the test split: the Evaluator's figure where it took it, so that there is but one."""
    if is_baseline and verdict.overall.baseline is not None:
        images, figure = verdict.overall.pictures, verdict.overall.baseline
        return Judged(name="", pictures=images, right=round(figure.value * images), accuracy=figure)
    right, images = right_and_all(answers.reference)
    return Judged(name="", pictures=images, right=right, accuracy=measured(right, images, verdict.confidence_shown))


def _change(verdict: Verdict, answers: Answers, *, is_baseline: bool) -> Figure:
    """The change of accuracy from the reference to the compressed model, likewise."""
    if is_baseline and verdict.overall.change is not None:
        return verdict.overall.change
    _, images = right_and_all(answers.reference)
    change = paired_change(answers.gained, answers.lost, images, verdict.confidence_shown)
    return Figure(change.value, change.low, change.high)


def _figures(judged: Judged, directory: str, latency: Latency) -> ModelFigures:
    return ModelFigures(
        right=judged.right,
        images=judged.pictures,
        parameters=read_figures(directory).parameters,
        bytes=os.path.getsize(tflite_path(directory)),
        latency=latency,
    )
