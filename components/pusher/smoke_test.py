"""Tests a model the way it will be served, before it is published."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorflow as tf

from compressor_lib.deployment.export import read_classes
from compressor_lib.deployment.literal_path import literal_path
from compressor_lib.errors import CompressorError
from compressor_lib.support.proxies import open_here

logger = logging.getLogger(__name__)

MODEL_SERVER = "tensorflow_model_server"
_SMOKE = Path(__file__).with_name("smoke.py")
_SECONDS = 600
_LOOK_SECONDS, _RESPONSE_SECONDS = 5, 60


def check_in_process(model: str) -> None:
    """Runs a SavedModel in a new process that only imports TensorFlow.

    Args:
        model: Local folder of the model.

    Raises:
        CompressorError: If the model does not predict, or predicts wrongly.
    """
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        with literal_path(model) as literal:
            process = subprocess.run(
                [sys.executable, str(_SMOKE), literal],
                env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _refused("in a separate process", f"no response in {_SECONDS} s") from None
    if process.returncode:
        raise _refused("in a separate process", process.stderr)


def check_in_model_server(model: str) -> bool:
    """Runs a SavedModel in TensorFlow Serving, if ``tensorflow_model_server`` is on the ``PATH``.

    Args:
        model: Local folder of the model, named by a number and alone in its parent folder.

    Returns:
        Whether the program is installed.

    Raises:
        CompressorError: If the model does not predict, or predicts wrongly.
    """
    program = shutil.which(MODEL_SERVER)
    if program is None:
        return False
    port, rest_port = _free_ports(2)
    with tempfile.TemporaryFile("w+") as log, literal_path(Path(model).parent) as base:
        command = [
            program, f"--port={port}", f"--rest_api_port={rest_port}", "--model_name=model",
            f"--model_base_path={base}",
        ]  # fmt: skip
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _check_response(
                _response(server, f"http://127.0.0.1:{rest_port}/v1/models/model", log), read_classes(model)
            )
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
    return True


def _response(server: subprocess.Popen[bytes], url: str, log: IO[str]) -> Any:
    image = tf.io.encode_png(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).numpy()
    question = json.dumps({"instances": [{"b64": base64.b64encode(image).decode()}]}).encode()
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with open_here(url, timeout=_LOOK_SECONDS) as status:
                states = [one["state"] for one in json.load(status)["model_version_status"]]
            if "AVAILABLE" in states:
                with open_here(f"{url}:predict", question, timeout=_RESPONSE_SECONDS) as response:
                    return json.load(response)["predictions"][0]
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise _refused(f"in {MODEL_SERVER}", error.read().decode(errors="replace")) from error
        except OSError:
            pass  # the server is not listening yet
        time.sleep(0.2)
    log.seek(0)
    raise _refused(f"in {MODEL_SERVER}", log.read())


def _check_response(response: Any, classes: list[str]) -> None:
    probabilities = np.asarray(response["probabilities"], float)
    if probabilities.shape != (len(classes),) or not np.isfinite(probabilities).all():
        raise _refused(f"in {MODEL_SERVER}", f"it returns {response['probabilities']} for {len(classes)} classes")
    if response["class"] not in classes:
        raise _refused(f"in {MODEL_SERVER}", f"it names the class {response['class']!r}, which it does not have")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _refused(how: str, said: str) -> CompressorError:
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no error message"]
    logger.error("%s", said)
    return CompressorError(f"the model does not work {how}, so it is not pushed: {lines[-1]}")
