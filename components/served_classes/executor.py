"""What ServedClasses does."""

from __future__ import annotations

import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.artifacts.class_list import write_class_list
from components.artifacts.served_classes import Endpoint, served_classes

logger = logging.getLogger(__name__)

CLASSES = "classes"


class Executor(base_executor.BaseExecutor):
    """Asks Vertex AI."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.served_classes.component.ServedClasses`.

        Raises:
            CompressorError: If what the endpoint serves is unknown.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        endpoint = Endpoint(exec_properties["project"], exec_properties["region"], exec_properties["endpoint"])
        classes = served_classes(endpoint)
        logger.info("endpoint %r serves the classes %s", endpoint.name, ", ".join(classes) or "of no model")
        write_class_list(artifact_utils.get_single_uri(output_dict[CLASSES]), classes)
