"""What DeployedModel does."""

from __future__ import annotations

import logging
import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import newest_version
from compressor_lib.deployment.export import EXTRA

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
            theirs, ours = (read_class_list(os.path.join(folder, EXTRA)) for folder in (deployed, source))
            if set(theirs) & set(ours):
                source = deployed
            else:
                logger.warning(
                    "%s has no class of the data's: its classes are %s, the data's %s. The reference is the baseline",
                    deployed, ", ".join(theirs) or "not named", ", ".join(ours),
                )  # fmt: skip
                version = ""
        io_utils.copy_dir(source, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property("deployed_version", version)
