"""Sections ``resources``, ``volumes``, ``s3`` and ``security_context``: the pods of nodes on Kubeflow or Vertex AI."""

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
# Volumes and folders that a node's pod has already: of Kubeflow Pipelines (backend/src/v2/compiler/argocompiler), of
# Argo, and ours.
_TAKEN_NAME = re.compile(
    rf"kfp-launcher|kfp-workspace|(gcs|s3|minio|dot-[a-z]+)-scratch|ca-(bundle|secret)|(var-run|tmp-dir)-argo|{WORK_VOLUME}"
)
_TAKEN_FOLDERS = ("/gcs", "/s3", "/minio", "/kfp-launcher", "/.local", "/.cache", "/.config")


class Resources(Section):
    """Resource limits of a node on Kubeflow or Vertex AI."""

    cpu: float | None = Field(default=None, gt=0, description="CPU limit, in cores; null: the platform's default.")
    memory_gb: float | None = Field(
        default=None, gt=0, description="Memory limit, in GB; null: the platform's default."
    )
    accelerator: str | None = Field(
        default=None,
        description="Type of accelerator, such as nvidia.com/gpu on Kubeflow or NVIDIA_TESLA_T4 on Vertex; null: none.",
    )
    accelerators: int = Field(default=1, gt=0, description="Number of accelerators.")
    disk_gb: float | None = Field(
        default=None,
        gt=0,
        description="On Kubeflow: disk limit, in GB, for temporary files in /tmp, such as those of Beam and features "
        "that do not fit in memory; null: the machine's free space.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="On Kubeflow: labels that the machine must have."
    )


class Volume(Section):
    """A PersistentVolumeClaim of the cluster, mounted in every node's container. Kubeflow only."""

    claim: str = Field(description="Name of the claim.")
    path: str = Field(description="Mount path. Other fields can then use paths below it.")

    @field_validator("claim")
    @classmethod
    def _claim_names_a_volume(cls, claim: str) -> str:
        if not _LABEL.fullmatch(claim):
            raise ValueError(
                f"is {claim!r}, and Kubeflow names the pod's volume after it: use a claim whose name is an RFC 1123 "
                "label (lower-case letters, digits and hyphens, 63 at most, no hyphen first or last)."
            )
        if _TAKEN_NAME.fullmatch(claim):
            raise ValueError(
                f"is {claim!r}, but each node already has another volume of that name: use a claim with another name."
            )
        return claim

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, path: str) -> str:
        if not path.startswith("/") or os.path.normpath(path).strip("/") == "":
            raise ValueError(f"is {path!r}: give an absolute path, such as /mnt/team.")
        if os.path.normpath(path) in _TAKEN_FOLDERS:
            raise ValueError(f"is {path!r}, where Kubeflow mounts a volume of its own: choose another folder.")
        return path

    @property
    def prefix(self) -> str:
        """Prefix of the paths below the mount."""
        return self.path.rstrip("/") + "/"


def check_volumes_apart(volumes: Sequence[Volume]) -> None:
    """Refuses two volumes with the same claim or mount path, which no pod can have.

    Args:
        volumes: The section.

    Raises:
        ValueError: If there are two. The message continues after the section name ``volumes``.
    """
    for what, values in (("claim", [one.claim for one in volumes]), ("path", [one.prefix for one in volumes])):
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"has {what} {value!r} twice: give each volume its own.")


class S3(Section):
    """The object store behind s3:// and minio://, for nodes on Kubeflow. Elsewhere, environment variables name it."""

    endpoint: str | None = Field(
        default=None,
        description="URL of the store, such as http://seaweedfs.kubeflow:9000; null: Amazon's for s3://, none for "
        "minio://.",
    )
    secret: str | None = Field(
        default=None,
        description="Name of the Secret with the fields accesskey and secretkey, such as mlpipeline-minio-artifact; "
        "null: the nodes' service account has a role with access.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_a_host(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError(
                f"is {endpoint!r}: write http:// or https://, a host and a port, as in http://seaweedfs.kubeflow:9000."
            )
        return endpoint

    @field_validator("secret")
    @classmethod
    def _secret_is_a_name(cls, secret: str | None) -> str | None:
        if secret is not None and not _SUBDOMAIN.fullmatch(secret):
            raise ValueError(
                f"is {shown(secret)}, which is not a valid name of a Secret: use lower-case letters, digits, hyphens "
                "and dots, as in mlpipeline-minio-artifact."
            )
        return secret


class SecurityContext(Section):
    """User and group of the nodes' containers. Kubeflow only."""

    run_as_user: int | None = Field(default=None, ge=0, description="User ID; null: the image's, which is 1000.")
    run_as_group: int | None = Field(default=None, ge=0, description="Group ID; null: the image's, which is 1000.")
    run_as_non_root: bool | None = Field(
        default=None, description="Whether Kubernetes refuses to start a container as root; null: cluster default."
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> SecurityContext:
        if (self.run_as_user, self.run_as_group, self.run_as_non_root) == (None, None, None):
            raise ValueError("has no run_as_user, run_as_group or run_as_non_root: set one, or remove the section.")
        if self.run_as_non_root and self.run_as_user == 0:
            raise ValueError("has run_as_non_root and run_as_user 0, which is root: change one of them.")
        return self
