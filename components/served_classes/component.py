"""The ServedClasses component."""

# The decorator reads the annotations as types, so no `from __future__ import annotations` here.
import logging

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from components.artifacts.class_list import write_class_list
from components.artifacts.served_classes import Endpoint, served_classes

logger = logging.getLogger(__name__)


@component
def ServedClasses(
    current: InputArtifact[standard_artifacts.ExampleStatistics],
    classes: OutputArtifact[standard_artifacts.Schema],
    project: Parameter[str],
    region: Parameter[str],
    endpoint: Parameter[str],
    code_version: Parameter[str] = "",
) -> None:
    """Reads the classes of the models on a Vertex AI endpoint, in their order.

    Args:
        current: Statistics of this run's data, used only as a cache key: the endpoint is queried again for new data
            only, so a run on the same data is cached as a whole.
        classes: A list ``classes.txt`` like that of :func:`components.warm_start.PreviousRun`, which reads it from a
            push directory. It is empty if no model is deployed or the endpoint does not exist.
        project: ID of the Google Cloud project.
        region: Region, such as ``europe-west1``.
        endpoint: Display name of the endpoint.
        code_version: Part of the cache key. It changes with the code.

    Raises:
        CompressorError: If the classes on the endpoint cannot be read.

    Example:
        >>> ServedClasses(
        ...     current=statistics_gen.outputs["statistics"],
        ...     project="my-project",
        ...     region="europe-west1",
        ...     endpoint="cats",
        ... )  # doctest: +SKIP
    """
    names = served_classes(Endpoint(project, region, endpoint))
    logger.info("classes on endpoint %r: %s", endpoint, ", ".join(names) or "none")
    write_class_list(classes.uri, names)
