"""The executors of Pusher."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from typing import Any

from tfx import types
from tfx.components.pusher import executor as stock
from tfx.dsl.io import fileio
from tfx.extensions.google_cloud_ai_platform.pusher import executor as vertex
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts.device_latencies import read_device_latencies
from components.artifacts.file_names import SEARCH_REPORT_FILE
from components.artifacts.model_files import files_sha256
from components.artifacts.pushed_versions import prune, publish, staging
from components.artifacts.served_classes import endpoint_of
from components.artifacts.verdict import LEFT_OUT, MODEL_SHA256, read_verdict
from components.pusher.class_order import check_class_order, check_endpoint_order
from components.pusher.model_card import Json, images_by_split, model_card, write_card
from components.pusher.smoke_test import check_in_model_server, check_in_process
from components.storage.gcs_mount import fetched
from compressor_lib.deployment.export import read_classes, tflite_paths
from compressor_lib.deployment.family import directory_of
from compressor_lib.deployment.model_metrics import EXTRA, FIGURES_FILE, read_figures, write_figures
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

_NEEDED = (os.path.join(EXTRA, FIGURES_FILE),)
"""Files of the reference model that the card needs."""

REMOVED_CLASSES = "removed_classes"
"""Key in the ``custom_config`` of :class:`EndpointExecutor`, whose parameters TFX defines."""

Artifacts = dict[str, list[types.Artifact]]


class Executor(stock.Executor):
    """Pushes a model to a directory."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Pushes a model if it is blessed.

        Args:
            input_dict: The component's inputs.
            output_dict: ``pushed_model``, which gets the stock Pusher's custom properties.
            exec_properties: The component's parameters.

        Raises:
            CompressorError: If the model is not the evaluated one, does not predict, or has its classes in a different
                order from the previously pushed version, which then stays in service.
        """
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        directory = directory_of(exec_properties["push_directory"], exec_properties.get("member") or "")
        with staging(directory) as folder:
            prepared = _tested_copy(self.GetModelPath(input_dict), folder, input_dict)
            check_class_order(prepared, directory, json.loads(exec_properties["removed_classes"]))
            write_card(prepared, _card(prepared, input_dict, exec_properties))
            io_utils.copy_dir(prepared, pushed.uri)
            version = publish(prepared, directory)
        self._MarkPushed(pushed, os.path.join(directory, str(version)), str(version))
        for old in prune(directory, exec_properties["keep"]):
            logger.info("deleted version %s, because only the newest versions are kept", old)


class EndpointExecutor(vertex.Executor):
    """Deploys a model to an endpoint on Vertex AI."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Deploys like TFX's executor, but only the evaluated model, and only after a test prediction.

        Args:
            input_dict: The component's inputs.
            output_dict: ``pushed_model``, which gets the stock Pusher's custom properties.
            exec_properties: The component's parameters.

        Raises:
            CompressorError: If the model is not the evaluated one, does not predict, or has its classes in a different
                order from the served model. Nothing is deployed in that case.
        """
        if not self.CheckBlessing(input_dict):
            super().Do(input_dict, output_dict, exec_properties)
            return
        with tempfile.TemporaryDirectory() as folder:
            self._prepared = _tested_copy(super().GetModelPath(input_dict), folder, input_dict)
            custom_config = exec_properties["custom_config"]
            removed = json.loads(custom_config)[REMOVED_CLASSES]
            check_endpoint_order(self._prepared, endpoint_of(custom_config), removed)
            super().Do(input_dict, output_dict, exec_properties)

    def GetModelPath(self, input_dict: Artifacts) -> str:
        """Returns the folder to deploy: the evaluated model without the formats that failed."""
        return self._prepared


def _tested_copy(model: str, folder: str, input_dict: Artifacts) -> str:
    """Copies a model to a local folder, and checks that it is the evaluated model and that it predicts.

    Formats that failed the gate are left out of the copy.
    """
    prepared = os.path.join(folder, "1")
    io_utils.copy_dir(model, prepared)
    check_evaluated(prepared, input_dict)
    leave_out(prepared, input_dict)
    logger.info("testing the model in a separate process")
    check_in_process(prepared)
    if check_in_model_server(prepared):
        logger.info("the model works in TensorFlow Serving")
    return prepared


def _card(prepared: str, input_dict: Artifacts, exec_properties: dict[str, Any]) -> Json:
    """Returns the card of a model, from the results of the run."""
    uris = {name: artifact_utils.get_single_uri(artifacts) for name, artifacts in input_dict.items()}
    results = os.path.join(uris["tuner_results"], exec_properties.get("member") or "")
    with fileio.open(os.path.join(results, SEARCH_REPORT_FILE)) as file:
        trials = json.loads(file.read())
    with fetched(path_utils.serving_model_path(uris["reference"]), *_NEEDED) as reference:
        return model_card(
            prepared,
            reference=reference,
            verdict=read_verdict(uris["evaluation"]),
            trials=trials,
            device=read_device_latencies(uris["tuner_results"]),
            data=images_by_split(uris["statistics"], exec_properties["label"], read_classes(prepared)),
            name=exec_properties["name"],
        )


def leave_out(directory: str, input_dict: Artifacts) -> None:
    """Deletes the TFLite models that the blessing lists as failed."""
    blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
    paths = tflite_paths(directory)
    left_out = json.loads(blessing.get_string_custom_property(LEFT_OUT) or "[]")
    for precision in left_out:
        logger.warning("the %s TFLite model fails the gate and is left out", precision)
        paths[precision].unlink()
    if left_out:
        write_figures(directory, read_figures(directory).without(left_out))


def check_evaluated(directory: str, input_dict: Artifacts) -> None:
    """Compares a model's files with the hash that the Evaluator recorded.

    Raises:
        CompressorError: If they differ.
    """
    blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
    model = artifact_utils.get_single_instance(input_dict["model"])
    if files_sha256(directory) != blessing.get_string_custom_property(MODEL_SHA256):
        raise CompressorError(
            f"the model in {model.uri!r} has changed since it was evaluated, so it is not pushed: "
            "use another output folder, because artifacts in this one were modified."
        )
