"""The cluster's part of a package: volumes, machine labels, and access to an object store."""

from __future__ import annotations

from typing import Any

from pipelines.config.config import Config
from pipelines.config.sections.cluster import WORK_VOLUME, Resources
from pipelines.kubeflow.entrypoint import ACCESS_KEY, ENDPOINT, SECRET_KEY
from pipelines.kubeflow.parameters import parameters_of

Json = dict[str, Any]

CREDENTIALS = {ACCESS_KEY: "accesskey", SECRET_KEY: "secretkey"}
"""Environment variables, and the fields of the Secret that they are read from, as Kubeflow Pipelines names them."""


def give_environment(spec: Json, config: Config) -> None:
    """Sets the object store's URL in the environment of the nodes that access it themselves, in place."""
    if config.s3.endpoint:
        for node in _of_object_stores(config):
            container = spec["deploymentSpec"]["executors"][_executor_of(spec, node)]["container"]
            container["env"] = [{"name": ENDPOINT, "value": config.s3.endpoint}]


def platform_of(spec: Json, config: Config) -> Json | None:
    """Returns the second document of a package, if it needs one.

    The document is the JSON form of ``KubernetesExecutorConfig`` (kubeflow/pipelines, ``kubernetes_platform/proto``).
    """
    volumes = [{"constant": volume.claim, "mountPath": volume.path} for volume in config.volumes]
    from_secret = [{"secretKey": field, "envVar": variable} for variable, field in CREDENTIALS.items()]
    readers = _of_object_stores(config) if config.s3.secret else set()
    user = _security_context(config)
    executors = {}
    for node in spec["root"]["dag"]["tasks"]:
        described: Json = {**({"pvcMount": volumes} if volumes else {}), **user}
        if node in readers:
            described["secretAsEnv"] = [{"secretName": config.s3.secret, "keyToEnv": from_secret}]
        resources = config.resources.get(node, Resources())
        if resources.node_selector:
            described["nodeSelector"] = {"labels": resources.node_selector}
        if resources.disk_gb:
            # Not a claim, because root would own it, and nodes run as another user.
            size = f"{resources.disk_gb:g}G"
            described["emptyDirMounts"] = [{"volumeName": WORK_VOLUME, "mountPath": "/tmp", "sizeLimit": size}]
        if described:
            executors[_executor_of(spec, node)] = described
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else None


def _security_context(config: Config) -> Json:
    """Returns only the fields that are set, because backends up to 2.15 refuse a package with this field."""
    if config.security_context is None:
        return {}
    names = {"run_as_user": "runAsUser", "run_as_group": "runAsGroup", "run_as_non_root": "runAsNonRoot"}
    given = config.security_context.model_dump(exclude_none=True)
    return {"securityContext": {names[field]: value for field, value in given.items()}}


def _of_object_stores(config: Config) -> set[str]:
    """The nodes that read data or use the push directory, for which the launcher copies no files."""
    return {one.node for one in parameters_of(config) if one.name in ("data_path", "push_directory")}


def _executor_of(spec: Json, node: str) -> str:
    label: str = spec["components"][spec["root"]["dag"]["tasks"][node]["componentRef"]["name"]]["executorLabel"]
    return label
