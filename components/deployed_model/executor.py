"""What DeployedModel does."""

from __future__ import annotations

import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts.pushed_versions import newest_version
from compressor_lib.export import CLASSES_FILE, EXTRA

logger = logging.getLogger(__name__)


class Executor(base_executor.BaseExecutor):
    """Copies the newest deployed model."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Copies a model.

        Args:
            input_dict: ``reference``, and ``candidate``, which is not read.
            output_dict: ``model``, whose ``deployed_version`` tells which one it is; empty: the reference.
            exec_properties: The component's parameters.
        """
        (model,) = output_dict["model"]
        source = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["reference"]))
        version = newest_version(exec_properties["push_directory"])
        if version:
            deployed = os.path.join(exec_properties["push_directory"], version)
            if _classes(deployed) == _classes(source):
                source = deployed
            else:
                logger.warning("%s names other classes than the data: compared with the reference instead", deployed)
                version = ""
        io_utils.copy_dir(source, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("deployed_version", version)


def _classes(directory: str) -> str:
    """Class names; nothing where a model does not tell them."""
    path = os.path.join(directory, EXTRA, CLASSES_FILE)
    if not fileio.exists(path):
        return ""
    with fileio.open(path) as file:
        return str(file.read())
