"""The gate's verdict, as the Evaluator writes it and other nodes read it."""

from __future__ import annotations

import os

from tfx.dsl.io import fileio

from components.artifacts.file_names import VERDICT_FILE
from compressor_lib.deployment.gate import Verdict

MODEL_SHA256 = "model_sha256"
"""Custom property of the blessing: which files were evaluated."""

LEFT_OUT = "left_out"
"""Custom property of the blessing: the TFLite formats that failed, which are not pushed, as a JSON list."""


def read_verdict(evaluation: str) -> Verdict:
    """Reads the verdict in an evaluation, given by its URI."""
    with fileio.open(os.path.join(evaluation, VERDICT_FILE)) as file:
        return Verdict.from_json(file.read())
