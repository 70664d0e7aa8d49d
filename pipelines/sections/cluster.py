"""Sections ``resources``, ``volumes`` and ``s3``: what nodes have on Kubeflow or Vertex AI."""

from __future__ import annotations

from pydantic import Field

from pipelines.sections.base import Section


class Resources(Section):
    """What a node may use on Kubeflow or Vertex AI."""

    cpu: float | None = Field(default=None, gt=0, description="Most CPU cores; null: the platform's default.")
    memory_gb: float | None = Field(default=None, gt=0, description="Most memory, in GB; null: the platform's default.")
    accelerator: str | None = Field(
        default=None,
        description="Kind of accelerator: nvidia.com/gpu on Kubeflow, such as NVIDIA_TESLA_T4 on Vertex; null: none.",
    )
    accelerators: int = Field(default=1, gt=0, description="How many of them.")
    disk_gb: float | None = Field(
        default=None,
        gt=0,
        description="On Kubeflow: most disk, in GB, for what the node works on in /tmp, as Beam and features beyond "
        "memory do; null: what the machine has.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="On Kubeflow: labels that the machine must have."
    )


class Volume(Section):
    """A PersistentVolumeClaim of the cluster, mounted in every node's container. On Kubeflow alone."""

    claim: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", description="The claim's name.")
    path: str = Field(pattern=r"^/[^/].*$", description="Where it is mounted; paths below it can be given elsewhere.")

    @property
    def prefix(self) -> str:
        """What paths below the mount begin with."""
        return self.path.rstrip("/") + "/"


class S3(Section):
    """The store behind s3:// and minio://, for nodes on Kubeflow. Elsewhere the environment tells it."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="Its URL; null: Amazon's for s3://, http://minio-service.kubeflow:9000 for minio://.",
    )
    secret: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="Name of the Secret with the fields accesskey and secretkey, such as mlpipeline-minio-artifact; "
        "null: the service account of the nodes has a role that may do it.",
    )
