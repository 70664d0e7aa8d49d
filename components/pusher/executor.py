"""What Pusher does."""

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

from components.artifacts.file_names import SEARCH_REPORT_FILE
from components.artifacts.model_files import files_sha256
from components.artifacts.pushed_versions import prune, publish, staging
from components.artifacts.served_classes import endpoint_of
from components.artifacts.verdict import LEFT_OUT, MODEL_SHA256, read_verdict
from components.pusher.class_order import check_class_order, check_endpoint_order
from components.pusher.model_card import Json, images_by_split, model_card, write_card
from components.pusher.smoke_test import try_alone, try_model_server
from components.storage.gcs_mount import fetched
from compressor_lib.deployment.export import read_classes, tflite_paths
from compressor_lib.deployment.model_metrics import EXTRA, FIGURES_FILE, read_figures, write_figures
from compressor_lib.errors import CompressorError

logger = logging.getLogger(__name__)

_NEEDED = (os.path.join(EXTRA, FIGURES_FILE),)
"""What the card takes of the reference."""

REMOVED_CLASSES = "removed_classes"
"""In the ``custom_config`` of :class:`EndpointExecutor`, whose parameters are the extension's."""

Artifacts = dict[str, list[types.Artifact]]


class Executor(stock.Executor):
    """Pushes a model into a folder."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Pushes a model if it is blessed.

        Args:
            input_dict: The component's inputs.
            output_dict: ``pushed_model``, which gets the stock Pusher's custom properties.
            exec_properties: The component's parameters.

        Raises:
            CompressorError: If the model is another than the one that was evaluated, does not answer, or has its
                classes in another order than the one that was pushed before, which serves on.
        """
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        directory = exec_properties["push_directory"]
        with staging(directory) as folder:
            prepared = _tried(self.GetModelPath(input_dict), folder, input_dict)
            check_class_order(prepared, directory, json.loads(exec_properties["removed_classes"]))
            write_card(prepared, _card(prepared, input_dict, exec_properties))
            io_utils.copy_dir(prepared, pushed.uri)
            version = publish(prepared, directory)
        self._MarkPushed(pushed, os.path.join(directory, str(version)), str(version))
        for old in prune(directory, exec_properties["keep"]):
            logger.info("deleted version %s, for only the newest are kept", old)


class EndpointExecutor(vertex.Executor):
    """Deploys a model to an endpoint on Vertex AI."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """As the extension does, for the model that was evaluated alone, once it has answered here.

        Args:
            input_dict: The component's inputs.
            output_dict: ``pushed_model``, which gets the stock Pusher's custom properties.
            exec_properties: The component's parameters.

        Raises:
            CompressorError: If it is another, does not answer, or has its classes in another order than the model that
                the endpoint serves. Nothing is deployed then.
        """
        if not self.CheckBlessing(input_dict):
            super().Do(input_dict, output_dict, exec_properties)
            return
        with tempfile.TemporaryDirectory() as folder:
            self._prepared = _tried(super().GetModelPath(input_dict), folder, input_dict)
            custom_config = exec_properties["custom_config"]
            removed = json.loads(custom_config)[REMOVED_CLASSES]
            check_endpoint_order(self._prepared, endpoint_of(custom_config), removed)
            super().Do(input_dict, output_dict, exec_properties)

    def GetModelPath(self, input_dict: Artifacts) -> str:
        """The folder of what is deployed: the evaluated model without the formats that failed."""
        return self._prepared


def _tried(model: str, folder: str, input_dict: Artifacts) -> str:
    """Copies a model into a folder on this machine, where it is seen to be the evaluated one, and to answer.

    The formats that the gate does not let pass are left out of the copy.
    """
    prepared = os.path.join(folder, "1")
    io_utils.copy_dir(model, prepared)
    check_evaluated(prepared, input_dict)
    leave_out(prepared, input_dict)
    logger.info("trying the model in a process of its own")
    try_alone(prepared)
    if try_model_server(prepared):
        logger.info("it answers through TensorFlow Serving")
    return prepared


def _card(prepared: str, input_dict: Artifacts, exec_properties: dict[str, Any]) -> Json:
    """The card of a model, from what the run found."""
    uris = {name: artifact_utils.get_single_uri(artifacts) for name, artifacts in input_dict.items()}
    with fileio.open(os.path.join(uris["tuner_results"], SEARCH_REPORT_FILE)) as file:
        trials = json.loads(file.read())
    with fetched(path_utils.serving_model_path(uris["reference"]), *_NEEDED) as reference:
        return model_card(
            prepared,
            reference=reference,
            verdict=read_verdict(uris["evaluation"]),
            trials=trials,
            data=images_by_split(uris["statistics"], exec_properties["label"], read_classes(prepared)),
            name=exec_properties["name"],
            backbone=exec_properties["backbone"],
        )


def leave_out(directory: str, input_dict: Artifacts) -> None:
    """Deletes the TFLite models that the Evaluator names in its blessing."""
    blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
    paths = tflite_paths(directory)
    left_out = json.loads(blessing.get_string_custom_property(LEFT_OUT) or "[]")
    for precision in left_out:
        logger.warning("the %s TFLite model fails the gate and is left out", precision)
        paths[precision].unlink()
    if left_out:
        write_figures(directory, read_figures(directory).without(left_out))


def check_evaluated(directory: str, input_dict: Artifacts) -> None:
    """Holds a model's files against what the Evaluator noted of them.

    Raises:
        CompressorError: If they are others.
    """
    blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
    model = artifact_utils.get_single_instance(input_dict["model"])
    if files_sha256(directory) != blessing.get_string_custom_property(MODEL_SHA256):
        raise CompressorError(
            f"the model in {model.uri!r} has changed since it was evaluated, so it is not pushed: "
            "give another output folder, for this one's artifacts are not what the pipeline made."
        )
