"""The node ServedClasses."""

# The decorator reads the annotations themselves, so they must not become text by `from __future__ import annotations`.
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
    """Takes the classes of the models that an endpoint on Vertex AI serves, in their order.

    Args:
        current: Statistics of this run's data. They are not looked at: for new data, and for no old, the endpoint is
            asked anew. So a run on the same data is cached as a whole.
        classes: A list, ``classes.txt``, as that of :func:`components.warm_start.PreviousRun`, which reads it from a
            push directory. It is empty where no model is deployed, or there is no such endpoint.
        project: Id of the Google Cloud project.
        region: Such as ``europe-west1``.
        endpoint: The endpoint's display name.
        code_version: Part of the cache key; change it when the code changes.

    Raises:
        CompressorError: If what the endpoint serves is unknown.

    Example:
        >>> ServedClasses(
        ...     current=statistics_gen.outputs["statistics"],
        ...     project="my-project",
        ...     region="europe-west1",
        ...     endpoint="cats",
        ... )  # doctest: +SKIP
    """
    names = served_classes(Endpoint(project, region, endpoint))
    logger.info("endpoint %r serves the classes %s", endpoint, ", ".join(names) or "of no model")
    write_class_list(classes.uri, names)
