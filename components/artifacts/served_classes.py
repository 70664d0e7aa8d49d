"""The classes of the models that an endpoint on Vertex AI serves: whose places in the output must not change.

The endpoint itself is asked, by the REST form of the API, rather than a note of the last push: traffic can be moved
between its models, and models deployed or undeployed, without a run.
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
"""Seconds to wait for an answer."""
_LONGEST = 300
"""Characters of an error that are shown."""


@dataclass(frozen=True)
class Endpoint:
    """Where models are deployed.

    Attributes:
        project: Id of the Google Cloud project.
        region: Such as ``europe-west1``.
        name: The endpoint's display name. Of several with this name the first is meant, as TFX's Pusher means it.
    """

    project: str
    region: str
    name: str


@dataclass(frozen=True)
class ServedModel:
    """A model that is deployed.

    Attributes:
        name: Its display name.
        classes: Its classes, in the order of its outputs.
    """

    name: str
    classes: list[str]


def served_models(endpoint: Endpoint) -> list[ServedModel]:
    """The model that an endpoint serves, then those from which traffic was moved back to it.

    The newest model with traffic counts as the one that serves, and the newest of all where none has traffic.
    Applications may still know the classes of models that are newer, as they do after a rollback in a push directory.

    Args:
        endpoint: The endpoint.

    Returns:
        The models; none where no model is deployed, or there is no such endpoint.

    Raises:
        CompressorError: If Vertex AI does not answer, or a model does not name its classes.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        found = _served(endpoint)
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        # What the log-in says is left out: it may quote credentials.
        words = "no valid credentials" if isinstance(error, GoogleAuthError) else redact(" ".join(str(error).split()))
        raise CompressorError(
            f"Vertex AI does not say which models endpoint {endpoint.name!r} in project {endpoint.project!r}, "
            f"{endpoint.region}, serves{via(_host(endpoint))}, so the order of their classes is unknown: "
            f"{words[:_LONGEST]}. The service account of the nodes needs the role roles/aiplatform.user."
        ) from error
    return [ServedModel(name, _classes(endpoint, name, uri)) for name, uri in found]


def served_classes(endpoint: Endpoint) -> list[str]:
    """Every class that applications of an endpoint know, each once, in the order of the model that it serves.

    Args:
        endpoint: The endpoint.

    Raises:
        CompressorError: As :func:`served_models`.
    """
    return list(dict.fromkeys(name for model in served_models(endpoint) for name in model.classes))


def endpoint_of(custom_config: str) -> Endpoint:
    """The endpoint that ``custom_config`` of TFX's Pusher for Vertex AI, as JSON, names.

    Raises:
        CompressorError: If it does not name all of it.
    """
    from tfx.extensions.google_cloud_ai_platform import constants

    config = json.loads(custom_config)
    serving = config.get(constants.SERVING_ARGS_KEY) or {}
    named = {
        "project": serving.get("project") or serving.get("project_id"),  # the extension takes both
        "region": config.get(constants.VERTEX_REGION_KEY),
        "name": serving.get("endpoint_name"),
    }
    if missing := [part for part, given in named.items() if not given]:
        raise CompressorError(
            f"custom_config of the Pusher for Vertex AI names no {' and no '.join(missing)} of the endpoint: give "
            f"project_id and endpoint_name in {constants.SERVING_ARGS_KEY}, and {constants.VERTEX_REGION_KEY}."
        )
    return Endpoint(**named)


def _host(endpoint: Endpoint) -> str:
    return f"https://{endpoint.region}-aiplatform.googleapis.com"


def _served(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Display name and artifact URI of each model, in the order of :func:`served_models`."""
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
    """Google's clients for endpoints and for models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.cloud import aiplatform_v1 as api  # takes seconds

        given: dict[str, Any] = {"transport": "rest", "client_options": {"api_endpoint": _host(endpoint)}}
        return api.EndpointServiceClient(**given), api.ModelServiceClient(**given)


def _classes(endpoint: Endpoint, name: str, uri: str) -> list[str]:
    """The classes of a model, from the files that it was made from.

    Raises:
        CompressorError: If they are not there.
    """
    folder = os.path.join(uri, EXTRA)
    classes = read_class_list(folder) if uri else []
    if not classes:
        place = os.path.join(folder, CLASSES_FILE) if uri else f"a file {EXTRA}/{CLASSES_FILE}"
        raise CompressorError(
            f"model {name!r}, which endpoint {endpoint.name!r} serves, does not name its classes, so their order is "
            f"unknown: write them to {place}, one a line, in the order of its outputs, or undeploy the model."
        )
    return classes
