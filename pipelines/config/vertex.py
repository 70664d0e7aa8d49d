"""What Vertex AI does for a run beyond its nodes: custom jobs to train and search in, and an endpoint to serve from.

All of it is told to TFX's extension for Vertex AI (``tfx.extensions.google_cloud_ai_platform``).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from compressor_lib.errors import CompressorError
from pipelines.config.sections.base import Section

NOT_HERE = "vertex is for Vertex AI alone: take it out, or compile with --target vertex"

Json = dict[str, Any]


class Machine(Section):
    """A kind of machine."""

    machine_type: str = Field(description="Such as n1-standard-8.")
    accelerator: str | None = Field(default=None, description="Such as NVIDIA_TESLA_T4; null: none.")
    accelerators: int = Field(default=1, gt=0, description="How many of them on each machine.")

    @property
    def spec(self) -> Json:
        """It as Vertex's API describes it (a MachineSpec)."""
        if self.accelerator is None:
            return {"machine_type": self.machine_type}
        return {
            "machine_type": self.machine_type,
            "accelerator_type": self.accelerator,
            "accelerator_count": self.accelerators,
        }


class VertexTraining(Machine):
    """Trainers that each train in a custom job of one machine."""

    nodes: list[Literal["reference", "retrain"]] = Field(
        default=["reference", "retrain"], min_length=1, description="Which of them."
    )


class VertexSearch(Machine):
    """A search in a custom job."""

    replicas: int = Field(default=1, gt=0, description="Machines that search together, the chief among them.")


class VertexEndpoint(Machine):
    """An endpoint that a blessed model is deployed to, in place of a folder."""

    display_name: str = Field(min_length=1, description="The endpoint's; it is made if there is none of that name.")
    image: str = Field(
        min_length=1, description="What serves the SavedModel; Google has images with TensorFlow Serving."
    )
    min_replicas: int = Field(default=1, gt=0, description="Fewest machines.")
    max_replicas: int = Field(default=1, gt=0, description="Most machines.")

    @model_validator(mode="after")
    def _replicas_are_a_range(self) -> VertexEndpoint:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"has min_replicas {self.min_replicas} above max_replicas {self.max_replicas}: swap them.")
        return self


class Vertex(Section):
    """What is done elsewhere on Vertex AI than in the nodes themselves."""

    project: str = Field(min_length=1, description="The Google Cloud project.")
    region: str = Field(min_length=1, description="Its region, such as europe-west1.")
    service_account: str | None = Field(
        default=None, description="Whom jobs and the endpoint act for; null: Vertex's own."
    )
    training: VertexTraining | None = Field(default=None, description="Where Trainers train; null: in their nodes.")
    search: VertexSearch | None = Field(default=None, description="Where the search runs; null: in its node.")
    endpoint: VertexEndpoint | None = Field(
        default=None, description="Where models are deployed; null: push.directory."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Vertex:
        if not (self.training or self.search or self.endpoint):
            raise ValueError("has neither training, search nor endpoint: give one, or take it out.")
        return self


def check_not_asked_for(vertex: Vertex | None) -> None:
    """Refuses the section where a pipeline is not compiled for Vertex AI.

    Raises:
        CompressorError: If there is one.
    """
    if vertex is not None:
        raise CompressorError(NOT_HERE)


def training_config(vertex: Vertex, machine: Machine, *, name: str, image: str) -> Json:
    """What makes the extension's Trainer train in a custom job: part of its ``custom_config``.

    Args:
        vertex: The section.
        machine: What to train on.
        name: The job's, for people.
        image: What it runs in.
    """
    from tfx.extensions.google_cloud_ai_platform import constants
    from tfx.extensions.google_cloud_ai_platform.trainer import executor

    return {
        constants.ENABLE_VERTEX_KEY: True,
        constants.VERTEX_REGION_KEY: vertex.region,
        executor.TRAINING_ARGS_KEY: _custom_job(vertex, machine, 1, name=name, image=image),
    }


def search_job(vertex: Vertex | None, *, name: str, image: str) -> Json | None:
    """``vertex_job`` of PruningSearch, None if it searches in its node."""
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
    """A CustomJob, with its project beside it, as the extension takes it; its first machine is a pool of its own."""
    pools = [
        {"machine_spec": machine.spec, "replica_count": count, "container_spec": {"image_uri": image}}
        for count in (1, replicas - 1)
        if count
    ]
    spec: Json = {"worker_pool_specs": pools}
    if vertex.service_account:
        spec["service_account"] = vertex.service_account
    return {"project": vertex.project, "display_name": name, "job_spec": spec}
