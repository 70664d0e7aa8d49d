"""Sections ``resources``, ``volumes``, ``s3`` and ``security_context``: what nodes have on Kubeflow or Vertex AI."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pydantic import Field, field_validator, model_validator

from pipelines.config.errors import shown
from pipelines.config.sections.base import Section

WORK_VOLUME = "compressor-work"
"""Name of the volume behind ``resources.<node>.disk_gb``."""

_ENDPOINT = re.compile(r"https?://[^/@\s?#]+/?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Volumes and folders of a node's pod: of Kubeflow Pipelines (backend/src/v2/compiler/argocompiler), of Argo, and ours.
_TAKEN_NAME = re.compile(
    rf"kfp-launcher|kfp-workspace|(gcs|s3|minio|dot-[a-z]+)-scratch|ca-(bundle|secret)|(var-run|tmp-dir)-argo|{WORK_VOLUME}"
)
_TAKEN_FOLDERS = ("/gcs", "/s3", "/minio", "/kfp-launcher", "/.local", "/.cache", "/.config")


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

    claim: str = Field(description="The claim's name.")
    path: str = Field(description="Where it is mounted; paths below it can be given elsewhere.")

    @field_validator("claim")
    @classmethod
    def _claim_names_a_volume(cls, claim: str) -> str:
        if not _LABEL.fullmatch(claim):
            raise ValueError(
                f"is {claim!r}, and Kubeflow names the volume of a pod after it: use a claim whose name has small "
                "letters, digits and hyphens alone, 63 at most, no hyphen first or last (an RFC 1123 label)."
            )
        if _TAKEN_NAME.fullmatch(claim):
            raise ValueError(f"is {claim!r}, and each node has another volume of that name: use a claim of another.")
        return claim

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, path: str) -> str:
        if not path.startswith("/") or os.path.normpath(path).strip("/") == "":
            raise ValueError(f"is {path!r}: give an absolute path, such as /mnt/team.")
        if os.path.normpath(path) in _TAKEN_FOLDERS:
            raise ValueError(f"is {path!r}, where Kubeflow mounts a volume of its own: give another folder.")
        return path

    @property
    def prefix(self) -> str:
        """What paths below the mount begin with."""
        return self.path.rstrip("/") + "/"


def check_volumes_apart(volumes: Sequence[Volume]) -> None:
    """Refuses two volumes of one claim, or in one folder: no pod can have them.

    Args:
        volumes: The section.

    Raises:
        ValueError: There are; the sentence goes on after the name of the section ``volumes``.
    """
    for what, values in (("claim", [one.claim for one in volumes]), ("path", [one.prefix for one in volumes])):
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"has {what} {value!r} twice: give each volume its own.")


class S3(Section):
    """The store behind s3:// and minio://, for nodes on Kubeflow. Elsewhere the environment tells it."""

    endpoint: str | None = Field(
        default=None,
        description="Its URL, such as http://seaweedfs.kubeflow:9000; null: Amazon's for s3://, none for minio://.",
    )
    secret: str | None = Field(
        default=None,
        description="Name of the Secret with the fields accesskey and secretkey, such as mlpipeline-minio-artifact; "
        "null: the service account of the nodes has a role that may do it.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_a_host(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError(
                f"is {endpoint!r}: give http:// or https://, a host and a port alone, as in "
                "http://seaweedfs.kubeflow:9000."
            )
        return endpoint

    @field_validator("secret")
    @classmethod
    def _secret_is_a_name(cls, secret: str | None) -> str | None:
        if secret is not None and not _SUBDOMAIN.fullmatch(secret):
            raise ValueError(
                f"is {shown(secret)}, which names no Secret: give a name of small letters, digits, hyphens and dots, "
                "such as mlpipeline-minio-artifact."
            )
        return secret


class SecurityContext(Section):
    """Whom the containers of nodes run as. On Kubeflow alone."""

    run_as_user: int | None = Field(default=None, ge=0, description="User id; null: the image's, which is 1000.")
    run_as_group: int | None = Field(default=None, ge=0, description="Group id; null: the image's, which is 1000.")
    run_as_non_root: bool | None = Field(
        default=None, description="Whether Kubernetes refuses to start a container as root; null: as the cluster does."
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> SecurityContext:
        if (self.run_as_user, self.run_as_group, self.run_as_non_root) == (None, None, None):
            raise ValueError("has no run_as_user, run_as_group or run_as_non_root: give one, or take it out.")
        if self.run_as_non_root and self.run_as_user == 0:
            raise ValueError("has run_as_non_root and run_as_user 0, which is root: change one of them.")
        return self
