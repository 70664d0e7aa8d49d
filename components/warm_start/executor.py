"""What PreviousRun and Handover do."""

from __future__ import annotations

import logging
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.artifacts.class_list import write_class_list
from components.artifacts.pushed_versions import newest_version
from components.warm_start.archive import read_handover, write_handover
from components.warm_start.pushed_classes import pushed_classes

logger = logging.getLogger(__name__)

HYPERPARAMETERS, TRANSLATORS, STATISTICS = "hyperparameters", "translators", "statistics"
EXAMPLES = "examples"
NEWEST, NOTE = "newest_version", "note"
"""What is told beside the span: the newest pushed version, and the parameter in which a platform notes what it will."""
CLASSES = "classes"
_SPLIT = "Split-"


class PreviousRunExecutor(base_executor.BaseExecutor):
    """Reads what the previous run left."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.warm_start.component.PreviousRun`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        push_directory = exec_properties["push_directory"]
        folders = {name: artifact_utils.get_single_uri(artifacts) for name, artifacts in output_dict.items()}
        for folder in folders.values():
            fileio.makedirs(folder)
        # Not what the previous run left: if that was refused, applications never saw its classes.
        write_class_list(folders.pop(CLASSES), pushed_classes(push_directory))
        about = read_handover(push_directory, folders)
        logger.info("%s previous run in %s", "found a" if about else "no", push_directory)
        statistics = artifact_utils.get_single_instance(output_dict[STATISTICS])
        found = [name.rstrip("/") for name in fileio.listdir(statistics.uri)]
        splits = sorted(name.removeprefix(_SPLIT) for name in found if name.startswith(_SPLIT))
        statistics.split_names = artifact_utils.encode_split_names(splits)
        statistics.span = about["span"] if about else 0


class HandoverExecutor(base_executor.BaseExecutor):
    """Leaves what this run knows to the next one."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See :class:`components.warm_start.component.Handover`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        kept = (HYPERPARAMETERS, TRANSLATORS, STATISTICS)
        folders = {name: artifact_utils.get_single_uri(input_dict[name]) for name in kept}
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])  # StatisticsGen does not hand the span on
        # ExampleGen's drivers tell it by a custom property; the typed one of that name may stay 0.
        span = int(examples.get_int_custom_property("span") or examples.span)
        push_directory = exec_properties["push_directory"]
        about = {"span": span, NEWEST: newest_version(push_directory), NOTE: exec_properties.get(NOTE, "")}
        write_handover(push_directory, folders, about)
