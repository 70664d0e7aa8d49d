"""The classes of the models on a Vertex AI endpoint, whose indices in the output must not change.

The endpoint is queried directly, through the API's REST interface, instead of recording the last push. Traffic can be
moved between its models, and models can be deployed or undeployed, without a run.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from typing import Any

from components.artifacts.class_list import read_class_list
from compressor_lib.deployment.export import CLASSES_FILE, EXTRA
from compressor_lib.errors import CompressorError
from compressor_lib.support.proxies import via
from compressor_lib.support.redaction import redact

_TIMEOUT = 60.0
"""Timeout for a response, in seconds."""
_LONGEST = 300
"""Maximum number of characters of an error that are shown."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint on which models are deployed.

    Attributes:
        project: ID of the Google Cloud project.
        region: Region, such as ``europe-west1``.
        name: Display name of the endpoint. Of several endpoints with this name, the first is used, as in TFX's Pusher.
    """

    project: str
    region: str
    name: str


@dataclass(frozen=True)
class ServedModel:
    """A deployed model.

    Attributes:
        name: Display name of the model.
        classes: Its classes, in the order of its outputs.
    """

    name: str
    classes: list[str]


def served_models(endpoint: Endpoint) -> list[ServedModel]:
    """Returns the model that an endpoint serves, then the newer models that were rolled back.

    The served model is the newest one with traffic, or the newest of all if none has traffic. Applications may still
    know the classes of newer models, as after a rollback in a push directory.

    Args:
        endpoint: The endpoint.

    Returns:
        The models; empty if there is no such endpoint or no model is deployed.

    Raises:
        CompressorError: If Vertex AI does not respond, or the classes of a model are not available.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        found = _served(endpoint)
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        # The message of a login error is not shown, because it may quote credentials.
        words = "no valid credentials" if isinstance(error, GoogleAuthError) else redact(" ".join(str(error).split()))
        raise CompressorError(
            f"the models on endpoint {endpoint.name!r} in project {endpoint.project!r}, {endpoint.region}, "
            f"could not be read from Vertex AI{via(_host(endpoint))}, so the order of their classes is unknown: "
            f"{words[:_LONGEST]}. The service account of the nodes needs the role roles/aiplatform.user."
        ) from error
    return [ServedModel(name, _classes(endpoint, name, uri)) for name, uri in found]


def served_classes(endpoint: Endpoint) -> list[str]:
    """Returns every class that applications of an endpoint know, without duplicates, the served model's first.

    Args:
        endpoint: The endpoint.

    Raises:
        CompressorError: See :func:`served_models`.
    """
    return list(dict.fromkeys(name for model in served_models(endpoint) for name in model.classes))


def endpoint_of(custom_config: str) -> Endpoint:
    """Returns the endpoint in the ``custom_config`` of TFX's Pusher for Vertex AI, given as JSON.

    Raises:
        CompressorError: If a part of the endpoint is missing.
    """
    from tfx.extensions.google_cloud_ai_platform import constants

    config = json.loads(custom_config)
    serving = config.get(constants.SERVING_ARGS_KEY) or {}
    named = {
        "project": serving.get("project") or serving.get("project_id"),  # the extension accepts both
        "region": config.get(constants.VERTEX_REGION_KEY),
        "name": serving.get("endpoint_name"),
    }
    if missing := [part for part, given in named.items() if not given]:
        raise CompressorError(
            f"custom_config of the Pusher for Vertex AI lacks the endpoint's {' and '.join(missing)}: give "
            f"project_id and endpoint_name in {constants.SERVING_ARGS_KEY}, and {constants.VERTEX_REGION_KEY}."
        )
    return Endpoint(**named)


def _host(endpoint: Endpoint) -> str:
    return f"https://{endpoint.region}-aiplatform.googleapis.com"


def _served(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Returns display name and artifact URI of each model, in the order of :func:`served_models`."""
    endpoints, models = _clients(endpoint)
    listed = endpoints.list_endpoints(
        request={
            "parent": f"projects/{endpoint.project}/locations/{endpoint.region}",
            "filter": f'display_name="{endpoint.name}"',
        },
        timeout=_TIMEOUT,
    )
    there = next(iter(listed), None)
    if there is None:
        return []
    deployed = sorted(there.deployed_models, key=lambda model: model.create_time)
    with_traffic = [place for place, model in enumerate(deployed) if there.traffic_split.get(model.id)]
    first = max(with_traffic, default=len(deployed) - 1)
    found = []
    for model in deployed[max(first, 0) :]:
        version = f"@{model.model_version_id}" if model.model_version_id and "@" not in model.model else ""
        uri = models.get_model(name=f"{model.model}{version}", timeout=_TIMEOUT).artifact_uri
        found.append((model.display_name or model.id, uri))
    return found


def _clients(endpoint: Endpoint) -> tuple[Any, Any]:
    """Returns Google's clients for endpoints and for models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.cloud import aiplatform_v1 as api  # importing takes seconds

        given: dict[str, Any] = {"transport": "rest", "client_options": {"api_endpoint": _host(endpoint)}}
        return api.EndpointServiceClient(**given), api.ModelServiceClient(**given)


def _classes(endpoint: Endpoint, name: str, uri: str) -> list[str]:
    """Returns the classes of a model, from the files that it was uploaded from.

    Raises:
        CompressorError: If the files are missing.
    """
    folder = os.path.join(uri, EXTRA)
    classes = read_class_list(folder) if uri else []
    if not classes:
        place = os.path.join(folder, CLASSES_FILE) if uri else f"a file {EXTRA}/{CLASSES_FILE}"
        raise CompressorError(
            f"model {name!r}, which endpoint {endpoint.name!r} serves, has no list of its classes, so their order is "
            f"unknown: write the list to {place}, one class per line, in the order of its outputs, "
            "or undeploy the model."
        )
    return classes
