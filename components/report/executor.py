"""The executor of Report: reads the predictions, collects the results of earlier nodes and writes the page."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts.class_results import results_by_class
from components.artifacts.device_latencies import read_device_latencies
from components.artifacts.file_names import FINALISTS_FILE, HISTORY_FILE, SEARCH_REPORT_FILE
from components.artifacts.predictions import MODEL, REFERENCE, Predictions, image_key
from components.artifacts.verdict import read_verdict
from components.report.advice import advice
from components.report.data import DeviceLatency, ReportData, write_reports
from components.report.example_images import summarise_images
from components.report.network import network_blocks
from components.report.networks import SearchedNetworks
from components.report.page import write_page
from components.report.predictions import compare_predictions
from components.report.trials import read_finalists, read_trials
from components.report.versions import versions
from components.storage.examples import encoded_images, split_patterns
from components.storage.gcs_mount import mounted_artifacts
from compressor_lib.deployment import model_metrics
from compressor_lib.deployment.eval_result import EvalResult
from compressor_lib.deployment.export import load_keras, tflite_paths
from compressor_lib.deployment.family import MEMBER_SEPARATOR, input_key, members_in
from compressor_lib.deployment.figures import FormatFigures, ModelFigures
from compressor_lib.deployment.intervals import paired_change
from compressor_lib.deployment.model_metrics import ModelMetrics, read_figures
from compressor_lib.deployment.precision import smallest
from compressor_lib.pretraining.bank import TranslatorBank

logger = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Creates the report of a run."""

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
            reports = {}
            for member in members_in(json.loads(exec_properties["config"])["search"]["budgets"]):
                own = {
                    key: input_key(key, member) if input_key(key, member) in inputs else key
                    for key in dict.fromkeys(key.partition(MEMBER_SEPARATOR)[0] for key in inputs)
                }
                reports[member] = gather(
                    {key: inputs[name] for key, name in own.items()},
                    exec_properties,
                    {key: uris[name] for key, name in own.items()},
                    member=member,
                )
            folder = Path(artifact_utils.get_single_uri(output_dict["report"]))
            folder.mkdir(parents=True, exist_ok=True)
            write_reports(reports, folder)
            write_page(reports, folder)


def gather(
    inputs: dict[str, types.Artifact], parameters: dict[str, Any], uris: dict[str, str], *, member: str = ""
) -> ReportData:
    """Collects the content of the report on one model.

    Args:
        inputs: The component's inputs by key, those of the model without its name.
        parameters: The component's parameters.
        uris: URIs of the inputs, valid on other machines.
        member: Name of the model in a family; empty for the only model.
    """
    config = json.loads(parameters["config"])
    results = Path(inputs["tuner_results"].uri, member)
    budgets = config["search"]["budgets"]
    budget = budgets[member] if member else budgets
    directories = {key: path_utils.serving_model_path(inputs[key].uri) for key in ("reference", "compressed")}
    reference, compressed = (load_keras(directory) for directory in directories.values())
    predictions = Predictions.read(inputs["evaluation"].uri)
    test = split_patterns(inputs["transformed_examples"], "test")
    compared = compare_predictions(predictions, lambda keys: _images(test, keys))
    metrics, reference_metrics = (read_figures(directories[key]) for key in ("compressed", "reference"))
    verdict = read_verdict(inputs["evaluation"].uri)
    confidence = verdict.confidence_shown
    pairs = predictions.pairs(MODEL, REFERENCE)
    reference_score, _ = results_by_class(predictions, REFERENCE, confidence)
    pushed = inputs["pushed_model"].get_int_custom_property("pushed")
    bank = TranslatorBank.load(inputs["translators"].uri)
    networks = SearchedNetworks(reference, config["search"]["backbones"] or ())
    device = read_device_latencies(inputs["tuner_results"].uri)
    trials = read_trials(
        results / SEARCH_REPORT_FILE,
        networks,
        cost=parameters["cost"],
        metrics=metrics,
        class_names=predictions.models[REFERENCE].classes,
        precision=smallest(config["export"]["formats"]),
        device=device,
    )
    return ReportData(
        name=config["name"],
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        backbone=bank.backbone,
        verdict=verdict,
        pushed_to=inputs["pushed_model"].get_string_custom_property("pushed_destination") or None if pushed else None,
        advice=advice(
            verdict,
            reference_score,
            has_budgets=any(limit is not None for limit in budget.values()),
        ),
        reference=_figures(reference_score, reference_metrics, metrics, model_metrics.REFERENCE),
        compressed=_figures(verdict.overall, metrics, metrics, "float32", memory_of=model_metrics.INT8),
        change=paired_change(pairs.gained, pairs.lost, pairs.images, confidence),
        formats={
            precision: FormatFigures(
                file.name, metrics.bytes[precision], metrics.latency[precision], metrics.speedup.get(precision)
            )
            for precision, file in tflite_paths(directories["compressed"]).items()
        },
        trials=trials,
        finalists=read_finalists(results / FINALISTS_FILE),
        translators={name: one.r2 for name, one in bank.translators.items() if one.r2 is not None},
        network=network_blocks(networks.whole(trials[0].backbone, trials[0].input_size), compressed),
        histories={
            role: json.loads(Path(inputs[f"{role}_run"].uri, HISTORY_FILE).read_text(encoding="utf-8"))
            for role in directories
        },
        predictions=compared,
        data=summarise_images(
            inputs["examples"],
            inputs["statistics"],
            inputs["anomalies"],
            parameters["label_feature"],
            predictions.classes,
        ),
        config=config,
        versions=versions(),
        artifacts=uris,
        device=None
        if device is None
        else DeviceLatency(device.in_words(), device.reference, trials[0].costs["latency"]),
        member=member,
    )


def _images(patterns: str, keys: Collection[str]) -> dict[str, bytes]:
    """Returns the files of some images of the test split, by their keys."""
    return {key: encoded for encoded in encoded_images(patterns) if (key := image_key(encoded)) in keys}


def _figures(
    result: EvalResult, own: ModelMetrics, measured: ModelMetrics, name: str, *, memory_of: str | None = None
) -> ModelFigures:
    """Combines the accuracy of a model, the figures of its folder, and what the Converter measured under a name."""
    return ModelFigures(
        right=result.right,
        images=result.images,
        parameters=own.parameters,
        bytes=measured.bytes.get(name),
        latency=measured.latency.get(name),
        input_size=own.input_size,
        memory=measured.memory.get(memory_of or name),
    )
