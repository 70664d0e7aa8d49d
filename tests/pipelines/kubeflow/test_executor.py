from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipelines.kubeflow.executor import parsed

WRONG = "https://me:hunter2@host/?X-Amz-Signature=hunter2"  # which the traceback quotes
ARGUMENTS = [
    f"--executor_class_path={WRONG}", "--json_serialized_inputs_spec_args={}", "--json_serialized_invocation_args={}",
]  # fmt: skip


@pytest.mark.slow
def test_no_credential_gets_into_a_tasks_log():
    command = [sys.executable, "-m", "pipelines.kubeflow.executor", *ARGUMENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "https://me:***@host/?X-Amz-Signature=***" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.slow
def test_nor_into_that_of_its_driver():
    wrong = json.dumps({"inputs": {"parameterValues": WRONG}})
    command = [
        sys.executable,
        "-m",
        "pipelines.kubeflow.example_gen_driver",
        "--json_serialized_invocation_args",
        wrong,
    ]
    done = subprocess.run(
        [*command, "--json_serialized_inputs_spec_args={}"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "https://me:***@host/?X-Amz-Signature=***" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.slow
def test_prints_logs_and_warnings_go_through_without_them():
    code = """
import logging, sys
from absl import logging as absl_logging
from pipelines.kubeflow.executor import redact_output
redact_output()
secret = "https://me:" + "hunter2@host"
print(secret)
print(secret, file=sys.stderr)
absl_logging.use_absl_handler()
absl_logging.set_verbosity("info")
absl_logging.info(secret)
logging.getLogger("any").warning("%s", secret)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "https://me:***@host\n"
    assert done.stderr.count("https://me:***@host") == 3
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("flags", [[], ["--direct_num_workers=2"]])
def test_the_programs_name_is_no_flag_of_beams(flags):
    known, beam = parsed(["executor.py", *ARGUMENTS, *flags])
    assert known.executor_class_path == WRONG
    assert beam == flags
