"""Uploads packages to Kubeflow Pipelines: one pipeline per name, one version per content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.platforms.kubeflow_client import KubeflowClient


def uploaded(client: KubeflowClient, package: Path, name: str) -> tuple[str, str]:
    """Uploads a package, unless it is already uploaded.

    Pipelines and versions are looked up by the name that they were created with, which is unique in a namespace. Their
    display names can change.

    Args:
        client: The client.
        package: File of the package.
        name: Name of the pipeline.

    Returns:
        IDs of the pipeline and the version.
    """
    api, place = client.api, client.namespace or None
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]

    def pipeline() -> str | None:
        found = api.list_pipelines(filter=_is_named(name), namespace=place).pipelines
        return found[0].pipeline_id if found else None

    def version() -> str | None:
        found = api.list_pipeline_versions(pipeline_id, filter=_is_named(digest)).pipeline_versions
        return found[0].pipeline_version_id if found else None

    def make_pipeline() -> str:
        from kfp_server_api import V2beta1Pipeline

        body = V2beta1Pipeline(display_name=name, namespace=place)
        made: str = api.pipelines.pipeline_service_create_pipeline(body=body).pipeline_id
        return made

    def make_version() -> str:
        made: str = api.upload_pipeline_version(str(package), digest, pipeline_id=pipeline_id).pipeline_version_id
        return made

    pipeline_id = _found_or_made(pipeline, make_pipeline)
    return pipeline_id, _found_or_made(version, make_version)


def _found_or_made(find: Callable[[], str | None], make: Callable[[], str]) -> str:
    from kfp_server_api import ApiException

    found = find()
    if found is not None:
        return found
    try:
        return make()
    except ApiException as error:
        # Another client may have created it in the meantime.
        if error.status == 409 and (found := find()) is not None:
            return found
        raise


def _is_named(name: str) -> str:
    predicate: dict[str, Any] = {"operation": "EQUALS", "key": "name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})
