"""Section ``vertex``: custom jobs that train and search on Vertex AI, and an endpoint that serves.

TFX's extension for Vertex AI (``tfx.extensions.google_cloud_ai_platform``) creates the jobs and the endpoint.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from compressor_lib.errors import CompressorError
from pipelines.config.sections.base import Section

NOT_HERE = "section vertex is for Vertex AI only: remove it, or compile with --target vertex."

Json = dict[str, Any]


class Machine(Section):
    """A machine type."""

    machine_type: str = Field(description="Machine type, such as n1-standard-8.")
    accelerator: str | None = Field(
        default=None, description="Type of accelerator, such as NVIDIA_TESLA_T4; null: none."
    )
    accelerators: int = Field(default=1, gt=0, description="Number of accelerators on each machine.")

    @property
    def spec(self) -> Json:
        """The machine as a MachineSpec of Vertex's API."""
        if self.accelerator is None:
            return {"machine_type": self.machine_type}
        return {
            "machine_type": self.machine_type,
            "accelerator_type": self.accelerator,
            "accelerator_count": self.accelerators,
        }


class VertexTraining(Machine):
    """Trainers that each train in a custom job with one machine."""

    nodes: list[Literal["reference", "retrain"]] = Field(
        default=["reference", "retrain"], min_length=1, description="The Trainers that do so."
    )


class VertexSearch(Machine):
    """A search that runs in a custom job."""

    replicas: int = Field(default=1, gt=0, description="Number of machines that search together, with the chief.")


class VertexEndpoint(Machine):
    """An endpoint that blessed models are deployed to, instead of a folder."""

    display_name: str = Field(
        min_length=1, description="Display name of the endpoint, which is created if it does not exist."
    )
    image: str = Field(
        min_length=1,
        description="Container image that serves the SavedModel; Google offers images with TensorFlow Serving.",
    )
    min_replicas: int = Field(default=1, gt=0, description="Minimum number of machines.")
    max_replicas: int = Field(default=1, gt=0, description="Maximum number of machines.")

    @model_validator(mode="after")
    def _replicas_are_a_range(self) -> VertexEndpoint:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"has min_replicas {self.min_replicas} above max_replicas {self.max_replicas}: swap them.")
        return self


class Vertex(Section):
    """Work that runs on Vertex AI outside the nodes."""

    project: str = Field(min_length=1, description="The Google Cloud project.")
    region: str = Field(min_length=1, description="The region, such as europe-west1.")
    service_account: str | None = Field(
        default=None, description="Service account of the jobs and the endpoint; null: Vertex's default."
    )
    training: VertexTraining | None = Field(default=None, description="Where Trainers train; null: in their nodes.")
    search: VertexSearch | None = Field(default=None, description="Where the search runs; null: in its node.")
    endpoint: VertexEndpoint | None = Field(
        default=None, description="Where models are deployed; null: push.directory."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Vertex:
        if not (self.training or self.search or self.endpoint):
            raise ValueError("has neither training, search nor endpoint: set one, or remove the section.")
        return self


def check_not_asked_for(vertex: Vertex | None) -> None:
    """Refuses the section if the pipeline is not compiled for Vertex AI.

    Raises:
        CompressorError: If the section is set.
    """
    if vertex is not None:
        raise CompressorError(NOT_HERE)


def training_config(vertex: Vertex, machine: Machine, *, name: str, image: str) -> Json:
    """Returns the part of the Trainer's ``custom_config`` that makes it train in a custom job.

    Args:
        vertex: The section.
        machine: Machine to train on.
        name: Display name of the job.
        image: Container image of the job.
    """
    from tfx.extensions.google_cloud_ai_platform import constants
    from tfx.extensions.google_cloud_ai_platform.trainer import executor

    return {
        constants.ENABLE_VERTEX_KEY: True,
        constants.VERTEX_REGION_KEY: vertex.region,
        executor.TRAINING_ARGS_KEY: _custom_job(vertex, machine, 1, name=name, image=image),
    }


def search_job(vertex: Vertex | None, *, name: str, image: str) -> Json | None:
    """``vertex_job`` of PruningSearch; None if it searches in its node."""
    if vertex is None or vertex.search is None:
        return None
    job = _custom_job(vertex, vertex.search, vertex.search.replicas, name=name, image=image)
    return {"region": vertex.region, **job}


def endpoint_config(vertex: Vertex, endpoint: VertexEndpoint) -> Json:
    """``custom_config`` of the extension's Pusher."""
    from tfx.extensions.google_cloud_ai_platform import constants

    serving = {
        "project": vertex.project,
        "endpoint_name": endpoint.display_name,
        "min_replica_count": endpoint.min_replicas,
        "max_replica_count": endpoint.max_replicas,
        **endpoint.spec,
    }
    if vertex.service_account:
        serving["service_account"] = vertex.service_account
    return {
        constants.ENABLE_VERTEX_KEY: True,
        constants.VERTEX_REGION_KEY: vertex.region,
        constants.VERTEX_CONTAINER_IMAGE_URI_KEY: endpoint.image,
        constants.SERVING_ARGS_KEY: serving,
    }


def _custom_job(vertex: Vertex, machine: Machine, replicas: int, *, name: str, image: str) -> Json:
    """A CustomJob and its project, as the extension takes them. The first machine is a worker pool of its own."""
    pools = [
        {"machine_spec": machine.spec, "replica_count": count, "container_spec": {"image_uri": image}}
        for count in (1, replicas - 1)
        if count
    ]
    spec: Json = {"worker_pool_specs": pools}
    if vertex.service_account:
        spec["service_account"] = vertex.service_account
    return {"project": vertex.project, "display_name": name, "job_spec": spec}
