"""The DeployedModel component."""

# The decorator reads the annotations as types, so no `from __future__ import annotations` here.
import logging
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils

from components.artifacts.class_list import read_class_list
from components.artifacts.pushed_versions import newest_version
from compressor_lib.deployment.export import EXTRA
from compressor_lib.deployment.family import directory_of

logger = logging.getLogger(__name__)


@component
def DeployedModel(
    candidate: InputArtifact[standard_artifacts.Model],
    reference: InputArtifact[standard_artifacts.Model],
    model: OutputArtifact[standard_artifacts.Model],
    push_directory: Parameter[str],
    member: Parameter[str] = "",
    code_version: Parameter[str] = "",
) -> None:
    """Returns the newest model in a push directory, or the reference model if none is comparable.

    It reads the directory itself, so it needs no resolver and works on platforms without resolvers.

    Args:
        candidate: The Model to be compared, used only as a cache key: the directory is read again for each new
            candidate. So a run without a new candidate is cached as a whole, even if its model has been deployed since.
        reference: The run's own Model, for the first run and for runs that share no class with the deployed model.
        model: The selected Model. Its ``deployed_version`` is the version; empty for the reference model.
        push_directory: Directory to which the Pusher pushes models, each in a folder named by a number.
        member: Name of the model in a family, which has a folder of that name in the push directory; empty for the only
            model.
        code_version: Part of the cache key. It changes with the code.

    Example:
        >>> DeployedModel(
        ...     candidate=converter.outputs["model"],
        ...     reference=reference.outputs["model"],
        ...     push_directory="gs://models/serving",
        ... )  # doctest: +SKIP
    """
    source = path_utils.serving_model_path(reference.uri)
    directory = directory_of(push_directory, member)
    version = newest_version(directory)
    if version:
        deployed = os.path.join(directory, version)
        theirs, ours = (read_class_list(os.path.join(folder, EXTRA)) for folder in (deployed, source))
        if set(theirs) & set(ours):
            source = deployed
        else:
            logger.warning(
                "%s has none of the data's classes: it has %s, the data has %s; the reference model is the baseline",
                deployed, ", ".join(theirs) or "unknown", ", ".join(ours),
            )  # fmt: skip
            version = ""
    io_utils.copy_dir(source, path_utils.serving_model_dir(model.uri))
    model.set_string_custom_property("deployed_version", version)
