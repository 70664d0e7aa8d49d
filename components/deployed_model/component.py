"""The node DeployedModel."""

# The decorator reads the annotations themselves, so they must not become text by `from __future__ import annotations`.
import logging
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import newest_version
from compressor_lib.deployment.export import EXTRA

logger = logging.getLogger(__name__)


@component
def DeployedModel(
    candidate: InputArtifact[standard_artifacts.Model],
    reference: InputArtifact[standard_artifacts.Model],
    model: OutputArtifact[standard_artifacts.Model],
    push_directory: Parameter[str],
    code_version: Parameter[str] = "",
) -> None:
    """Takes the newest model of a push destination, or the reference where nothing comparable is there.

    It reads the destination itself, so it takes no resolver and works on platforms that have none.

    Args:
        candidate: The Model that is to be compared. It is not looked at: for each new candidate, and for no old one,
            the destination is read anew. So a run that makes none is taken from the cache as a whole, though its model
            serves since.
        reference: The run's own Model, for the first run, and for one that shares no class with the deployed one.
        model: The Model that was taken; its ``deployed_version`` tells which one it is; empty: the reference.
        push_directory: Where the Pusher puts models, each in a folder that is named by a number.
        code_version: Part of the cache key; change it when the code changes.

    Example:
        >>> DeployedModel(
        ...     candidate=converter.outputs["model"],
        ...     reference=reference.outputs["model"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """
    source = path_utils.serving_model_path(reference.uri)
    version = newest_version(push_directory)
    if version:
        deployed = os.path.join(push_directory, version)
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
