"""The gate's verdict, which the Evaluator writes and other nodes read."""

from __future__ import annotations

import os

from tfx.dsl.io import fileio

from components.artifacts.file_names import VERDICT_FILE
from compressor_lib.deployment.gate import Verdict

MODEL_SHA256 = "model_sha256"
"""Custom property of the blessing: hash of the evaluated files."""

LEFT_OUT = "left_out"
"""Custom property of the blessing: JSON list of the TFLite formats that failed and are not pushed."""


def read_verdict(evaluation: str) -> Verdict:
    """Reads the verdict of an evaluation, given by its URI."""
    with fileio.open(os.path.join(evaluation, VERDICT_FILE)) as file:
        return Verdict.from_json(file.read())
