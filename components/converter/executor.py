"""The executor of Converter: TFLite models of an exported classifier, and their figures."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.storage.examples import image_dataset, split_patterns
from components.storage.gcs_mount import mounted_artifacts
from compressor_lib.deployment.activation_memory import activation_memory
from compressor_lib.deployment.export import add_tflite, load_keras, read_classes
from compressor_lib.deployment.latency import time_models
from compressor_lib.deployment.model_metrics import INT8, read_figures, write_figures
from compressor_lib.deployment.model_metrics import REFERENCE as REFERENCE_FIGURES
from compressor_lib.deployment.precision import Precision
from compressor_lib.deployment.tflite import ConversionError, to_tflite
from compressor_lib.deployment.tflite_metadata import with_metadata

logger = logging.getLogger(__name__)

BASE_MODEL = "base_model"
REFERENCE = "reference"
EXAMPLES = "examples"
MODEL = "model"

CALIBRATION_IMAGES = 100


class Executor(base_executor.BaseExecutor):
    """Converts a classifier and times the TFLite models."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads ``base_model``, ``reference`` and ``examples``, writes ``model``.

        ``model`` is a copy of ``base_model`` with TFLite models in ``assets.extra/``, and latencies and speedups in its
        ``figures.json``. A format that does not convert, including float32, is left out, and ``figures.json`` gives the
        reason. If the reference model does not convert, it is not timed, and ``figures.json`` gives that reason too.

        Raises:
            CompressorError: If a model or the examples are unreadable.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        with mounted_artifacts(input_dict, output_dict):
            base_model, reference = (
                path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[key]))
                for key in (BASE_MODEL, REFERENCE)
            )
            output = path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict[MODEL]))
            formats = list(dict.fromkeys(["float32", *json.loads(exec_properties["formats"])]))
            calibration = None
            if "int8" in formats:
                examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
                patterns = split_patterns(examples, exec_properties["split"])
                calibration = _some_images(patterns, base_model, exec_properties["seed"])
            io_utils.copy_dir(base_model, output)
            _convert(output, reference, formats, calibration, exec_properties["seed"])


def _convert(folder: str, reference: str, formats: list[Precision], calibration: np.ndarray | None, seed: int) -> None:
    logger.info("converting to %s", ", ".join(formats))
    conversions = add_tflite(folder, formats=formats, calibration=calibration)
    tflite_models, not_converted = conversions.files, dict(conversions.not_converted)
    try:
        # With metadata, as if it were deployed, so that its size is comparable with the deployed files.
        whole = with_metadata(to_tflite(load_keras(reference)), read_classes(reference))
        tflite_models = {REFERENCE_FIGURES: whole, **tflite_models}
    except ConversionError as error:
        not_converted[REFERENCE_FIGURES] = error.reason
    for name, reason in not_converted.items():
        logger.warning("%s has no TFLite model: %s", name, reason)
    metrics = replace(
        read_figures(folder),
        bytes={name: len(content) for name, content in tflite_models.items()},
        not_converted=not_converted,
        memory=_memory(tflite_models),
    )
    if tflite_models:
        logger.info("timing %s", ", ".join(tflite_models))
        timings = time_models(tflite_models, seed=seed)
        compared = conversions.files if REFERENCE_FIGURES in tflite_models else ()
        metrics = replace(
            metrics,
            latency={name: timings.latency(name) for name in tflite_models},
            speedup={name: timings.speedup(name, REFERENCE_FIGURES) for name in compared},
        )
    write_figures(folder, metrics)


def _memory(tflite_models: Mapping[str, bytes]) -> dict[str, int]:
    """Returns the memory of the model, best from its int8 file, and of the reference model, as far as they convert."""
    given = {INT8: (INT8, "float32", "float16"), REFERENCE_FIGURES: (REFERENCE_FIGURES,)}
    found = {key: next((name for name in names if name in tflite_models), None) for key, names in given.items()}
    return {key: activation_memory(tflite_models[name]) for key, name in found.items() if name}


def _some_images(patterns: str, folder: str, seed: int) -> np.ndarray:
    """Returns random images of a split, or all images if there are fewer."""
    size = load_keras(folder).input_shape[1]
    images = image_dataset(patterns, size=size, batch_size=1, shuffle_seed=seed, labelled=False)
    return np.concatenate(list(itertools.islice(images.as_numpy_iterator(), CALIBRATION_IMAGES)))
