"""The executor of Transform."""

from __future__ import annotations

import json
import logging
from typing import Any

from tfx import types
from tfx.components.transform import executor as stock
from tfx.types import artifact_utils, standard_component_specs

from components.artifacts.class_counts import all_class_counts
from components.artifacts.class_list import class_list, read_class_list, write_class_list

logger = logging.getLogger(__name__)

CLASSES = "classes"
"""Key in the configuration of the ``preprocessing_fn``: the class names, by index."""

_CONFIG = standard_component_specs.CUSTOM_CONFIG_KEY


class Executor(stock.Executor):
    """Determines the order of the classes, then transforms."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.transform.component.Transform`.

        Raises:
            CompressorError: If there are more classes than statistics list, or a class cannot be removed.
        """
        statistics = artifact_utils.get_single_instance(input_dict["statistics"])
        previous = input_dict.get("previous_classes")
        known = read_class_list(artifact_utils.get_single_uri(previous)) if previous else []
        removed = json.loads(exec_properties["removed_classes"])
        names = class_list(all_class_counts(statistics, exec_properties["label"]), known, removed)
        if known:
            added = [name for name in names if name not in known]
            logger.info(
                "%d classes in the order of the pushed model; new: %s; removed: %s",
                len(names), ", ".join(added) or "none", ", ".join(removed) or "none",
            )  # fmt: skip
        custom_config = json.dumps({**json.loads(exec_properties[_CONFIG]), CLASSES: names})
        super().Do(input_dict, output_dict, {**exec_properties, _CONFIG: custom_config})
        write_class_list(artifact_utils.get_single_uri(output_dict["transform_graph"]), names)
