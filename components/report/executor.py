"""Report's work: asks both models the test split, gathers what the nodes before found, writes the page."""

from __future__ import annotations

import json
import logging
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
from components.report.answers import accuracy, compare_answers
from components.report.data import ReportData, Verdict
from components.report.network import network_blocks
from components.report.page import write_page
from components.report.pictures import summarise_pictures
from components.report.trials import read_trials
from components.report.versions import versions
from components.storage import mounted_artifacts
from compressor_lib.bank import TranslatorBank
from compressor_lib.deployment.model_metrics import REFERENCE, read_figures
from compressor_lib.export import load_keras, read_classes, read_parameters, tflite_paths
from compressor_lib.figures import FormatFigures, ModelFigures
from compressor_lib.measure import tflite_accuracy

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
    classes = read_classes(directories["reference"])
    test = picture_dataset(
        split_patterns(inputs["transformed_examples"], "test"), size=reference.input_shape[1], batch_size=_BATCH
    )
    logger.info("asking both models the test split")
    answers = compare_answers(reference, compressed, test, classes)
    twins = tflite_paths(directories["compressed"])
    logger.info("judging %s on the test split", ", ".join(twins))
    accuracies = tflite_accuracy(twins, test)
    metrics = read_figures(directories["compressed"])
    figures = {
        role: ModelFigures(
            accuracy=accuracy(getattr(answers, role)),
            parameters=read_parameters(directories[role]),
            bytes=metrics.bytes[timed],
            milliseconds=metrics.latency[timed].median,
        )
        for role, timed in (("reference", REFERENCE), ("compressed", "float32"))
    }
    search_report = Path(inputs["tuner_results"].uri, REPORT_FILE)
    bank = TranslatorBank.load(inputs["translators"].uri)
    return ReportData(
        name=config["name"],
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        backbone=bank.backbone,
        verdict=_verdict(inputs["evaluation"], inputs["pushed_model"]),
        reference=figures["reference"],
        compressed=figures["compressed"],
        formats={
            name: FormatFigures(metrics.bytes[name], metrics.latency[name].median, accuracies[name]) for name in twins
        },
        trials=read_trials(search_report, reference, cost=parameters["cost"]),
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


def _verdict(evaluation: types.Artifact, pushed_model: types.Artifact) -> Verdict:
    """What the gate said, and where the model went."""
    said = read_verdict(evaluation.uri)
    pushed = pushed_model.get_int_custom_property("pushed")
    destination = pushed_model.get_string_custom_property("pushed_destination") if pushed else None
    return Verdict(said.blessed, said.reasons, destination or None)
