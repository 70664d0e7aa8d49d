"""The executor of Evaluator: one pass of TFMA over the test split, and the gate's verdict on the result."""

from __future__ import annotations

import json
import logging
import os
from typing import Any, get_args

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors.predictions_extractor import PREDICTIONS_EXTRACTOR_STAGE_NAME
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.util import tfxio_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils, proto_utils

from components.artifacts.class_list import read_class_list
from components.artifacts.file_names import VERDICT_FILE
from components.artifacts.model_files import files_sha256
from components.artifacts.predictions import BASELINE, MODEL, REFERENCE
from components.artifacts.verdict import LEFT_OUT, MODEL_SHA256
from components.evaluator.comparison import verdict_of
from components.evaluator.predicting import KeptModel, keeping_extractor, kept_predictions
from components.evaluator.tfma_config import thresholds_of, with_classes
from compressor_lib.deployment.classes_file import CLASSES_FILE
from compressor_lib.deployment.export import tflite_path
from compressor_lib.deployment.gate import Verdict, left_out_sentences
from compressor_lib.deployment.model_metrics import EXTRA, FIGURES_FILE, parse_figures
from compressor_lib.deployment.precision import Precision
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Evaluates with TFMA, and decides by the counts and their confidence intervals."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates a model.

        Args:
            input_dict: ``examples``, ``model`` and, if there is one, ``baseline_model``; ``reference`` unless it is the
                baseline.
            output_dict: ``evaluation``, and ``blessing`` with the stock Evaluator's custom properties plus
                :data:`MODEL_SHA256` and :data:`LEFT_OUT`.
            exec_properties: The component's parameters.

        Raises:
            CompressorError: If a model has no class names, or its figures are unreadable.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        folders = {
            name: path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[key]))
            for name, key in ((MODEL, "model"), (BASELINE, "baseline_model"), (REFERENCE, "reference"))
            if input_dict.get(key)
        }
        sha256 = files_sha256(folders[MODEL])
        models = _models(folders)
        classes = models[MODEL].classes
        given = tfma.EvalConfig()
        proto_utils.json_to_proto(exec_properties["eval_config"], given)
        config = with_classes(given, classes, models[BASELINE].classes if BASELINE in models else None)

        self._evaluate(config, folders, models, input_dict["examples"], exec_properties, evaluation)
        predictions = kept_predictions(models, classes, evaluation)
        if REFERENCE not in models and BASELINE in models:
            predictions.models[REFERENCE] = predictions.models[BASELINE]  # the same model
        predictions.write(evaluation)
        thresholds = thresholds_of(given, exec_properties.get("confidence"))
        verdict = verdict_of(predictions, thresholds, sha256, _not_converted(folders[MODEL]))
        for sentence in (*verdict.notes, *left_out_sentences(verdict)):
            logger.warning(sentence)
        io_utils.write_string_file(os.path.join(evaluation, VERDICT_FILE), verdict.to_json())
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), verdict, input_dict, exec_properties)

    def _evaluate(
        self,
        config: tfma.EvalConfig,
        folders: dict[str, str],
        models: dict[str, KeptModel],
        examples: list[types.Artifact],
        exec_properties: dict[str, Any],
        evaluation: str,
    ) -> None:
        """Runs TFMA's evaluation and stores the predictions."""
        shared = [
            tfma.default_eval_shared_model(
                eval_saved_model_path=folders[BASELINE if spec.is_baseline else MODEL],
                model_name=spec.name,
                eval_config=config,
            )
            for spec in config.model_specs
        ]
        shared_model = shared[0] if len(shared) == 1 else shared
        extractors = tfma.default_extractors(eval_shared_model=shared_model, eval_config=config)
        (place,) = (
            number for number, one in enumerate(extractors) if one.stage_name == PREDICTIONS_EXTRACTOR_STAGE_NAME
        )
        extractors.insert(place + 1, keeping_extractor(models, models[MODEL].classes, evaluation))
        source = tfxio_utils.get_tfxio_factory_from_artifact(
            examples=examples,
            telemetry_descriptors=["Evaluator"],
            raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        )
        with self._make_beam_pipeline() as pipeline:
            splits = [
                pipeline | f"Read[{split}][{number}]" >> source(io_utils.all_files_pattern(uri)).BeamSource()
                for split in json.loads(exec_properties["example_splits"])
                for number, uri in enumerate(artifact_utils.get_split_uris(examples, split))
            ]
            _ = (
                splits
                | "Flatten" >> beam.Flatten()
                | "Evaluate"
                >> tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=shared_model, eval_config=config, extractors=extractors, output_path=evaluation
                )
            )


def _models(folders: dict[str, str]) -> dict[str, KeptModel]:
    """Returns the models whose predictions are stored, without the reference if it is the baseline."""
    models = {MODEL: KeptModel(_classes(folders[MODEL]))}
    if BASELINE in folders:
        models[BASELINE] = KeptModel(_classes(folders[BASELINE]))
    if REFERENCE in folders and not _are_the_same(folders[REFERENCE], folders.get(BASELINE)):
        models[REFERENCE] = KeptModel(_classes(folders[REFERENCE]), folders[REFERENCE])
    for precision in get_args(Precision):
        path = os.path.join(folders[MODEL], EXTRA, tflite_path("", precision).name)
        if fileio.exists(path):
            models[precision] = KeptModel(models[MODEL].classes, path)
    return models


def _are_the_same(one: str, other: str | None) -> bool:
    return other is not None and (one == other or files_sha256(one) == files_sha256(other))


def _classes(folder: str) -> list[str]:
    names = read_class_list(os.path.join(folder, EXTRA))
    if not names:
        raise CompressorError(
            f"the model in {folder!r} has no class names ({EXTRA}/{CLASSES_FILE}): export it again, "
            "or choose another gate.baseline."
        )
    return names


def _not_converted(folder: str) -> dict[str, str]:
    """Returns the reasons for a model's missing TFLite models, by precision, as the Converter wrote them."""
    path = os.path.join(folder, EXTRA, FIGURES_FILE)
    with fileio.open(path, "rb") as file:
        return parse_figures(file.read(), path).not_converted


def _bless(
    blessing: types.Artifact,
    verdict: Verdict,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> None:
    """Writes the blessing like the stock Evaluator, but with our verdict: TFMA's ignores confidence."""
    name, value = (
        (constants.BLESSED_FILE_NAME, constants.BLESSED_VALUE)
        if verdict.blessed
        else (constants.NOT_BLESSED_FILE_NAME, constants.NOT_BLESSED_VALUE)
    )
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
    blessing.set_string_custom_property(MODEL_SHA256, verdict.model_sha256)
    blessing.set_string_custom_property(LEFT_OUT, json.dumps(list(verdict.failed)))
    for key, uri, number in (
        ("model", constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY),
        (
            "baseline_model",
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY,
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY,
        ),
    ):
        if input_dict.get(key):
            blessing.set_string_custom_property(uri, input_dict[key][0].uri)
            blessing.set_int_custom_property(number, input_dict[key][0].id)
    if "current_component_id" in exec_properties:
        blessing.set_string_custom_property("component_id", exec_properties["current_component_id"])
