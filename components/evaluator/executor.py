"""What Evaluator does beyond TFX's own."""

from __future__ import annotations

import os
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as stock
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils, proto_utils

from components.evaluator.gating import bounds_of, measured
from components.model_files import files_sha256
from compressor_lib.export import CLASSES_FILE, EXTRA
from compressor_lib.gate import Verdict, judge

VERDICT_FILE = "verdict.json"
"""In the evaluation: a :class:`compressor_lib.gate.Verdict`."""

MODEL_SHA256 = "model_sha256"
"""Custom property of the blessing: which files were evaluated."""


def read_verdict(evaluation: str) -> Verdict:
    """Reads the verdict in an evaluation, given by its URI."""
    with fileio.open(os.path.join(evaluation, VERDICT_FILE)) as file:
        return Verdict.from_json(file.read())


class Executor(stock.Executor):
    """Evaluates, then decides by what TFMA measured and how sure it is of it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates a model.

        Args:
            input_dict: The stock Evaluator's.
            output_dict: Likewise; ``blessing`` with the custom property :data:`MODEL_SHA256`.
            exec_properties: The component's parameters.
        """
        model = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        sha256 = files_sha256(model)
        super().Do(input_dict, output_dict, exec_properties)

        config = tfma.EvalConfig()
        proto_utils.json_to_proto(exec_properties["eval_config"], config)
        confidence = exec_properties.get("confidence")
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        with fileio.open(os.path.join(model, EXTRA, CLASSES_FILE)) as file:
            names = file.read().splitlines()
        overall, classes = measured(tfma.load_metrics(evaluation), names, confidence)
        verdict = judge(bounds_of(config, confidence), overall, classes, sha256)
        io_utils.write_string_file(os.path.join(evaluation, VERDICT_FILE), verdict.to_json())
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), verdict)


def _bless(blessing: types.Artifact, verdict: Verdict) -> None:
    """Puts our verdict in the place of TFMA's, which knows no confidence."""
    for name in (constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME):
        if fileio.exists(os.path.join(blessing.uri, name)):
            fileio.remove(os.path.join(blessing.uri, name))
    name, value = (
        (constants.BLESSED_FILE_NAME, constants.BLESSED_VALUE)
        if verdict.blessed
        else (constants.NOT_BLESSED_FILE_NAME, constants.NOT_BLESSED_VALUE)
    )
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
    blessing.set_string_custom_property(MODEL_SHA256, verdict.model_sha256)
