"""A stand-in for the REST API of Kubeflow Pipelines: the part that the ``kfp`` client uses.

It responds like the API server (kubeflow/pipelines, below ``backend/src/apiserver``; 2.17). ``tests/kubeflow`` tests
the client with the real server, if that is available.
"""

from __future__ import annotations

import email
import json
import re
import ssl
import threading
from email.policy import HTTP
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeflow_backend import load
from kubeflow_errors import Refused
from kubeflow_workflow import task_details, workflow
from robfig_cron import WrongCron, parse
from served import Served

Json = dict[str, Any]

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
"""gRPC codes by HTTP status."""
_FIELDS = {
    "pipelines": ("pipeline_id", "name", "display_name", "created_at", "description", "namespace"),
    "pipeline_versions": ("pipeline_version_id", "name", "display_name", "created_at", "description"),
    "experiments": ("experiment_id", "name", "display_name", "created_at", "description", "namespace"),
    "recurringRuns": ("recurring_run_id", "name", "display_name", "created_at", "description"),
}
"""The fields to filter and sort by, for each list."""
_TYPES: dict[str, tuple[Any, str]] = {
    "STRING": (str, "string, but the input parameter is not of string value type"),
    "NUMBER_DOUBLE": ((int, float), "double or integer, but the parameter value is not of number value type"),
}
_TYPES["NUMBER_INTEGER"] = _TYPES["NUMBER_DOUBLE"]
"""Types of parameters: the accepted values, and the message for others."""
_INPUTS = "Failed to create a new run: invalid pipeline job inputs: Invalid input error: "
_STACK = "\ngithub.com/kubeflow/pipelines/backend/src/common/util.NewInvalidInputError\n\t/go/src/util/error.go:166"


class Failure(Exception):
    """An error response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KubeflowApi(Served):
    """The server and its state.

    Attributes:
        multi_user: Whether everything belongs to a namespace.
        pipelines: Pipelines by id: name, namespace and versions, each version with the package's text.
        runs: Bodies of runs, by id.
        recurring: Bodies of recurring runs, by id.
        token: Token that a request must have; None for none.
        cookie: Cookie that a request must have; None for none.
        answers_with: Error status of every response except that on the server's health; None for success.
        refused: Error statuses of the next requests, by path.
        stalled: Paths of requests that never get a response.
        asked: Paths of all requests.
        states: States of every run, one for each request; the last one is repeated.
        nodes: States of the nodes, as for ``kubeflow_workflow.workflow``; a list is used like ``states``.
        cancelled: Whether the Workflows of the runs are cancelled.
        serves_v1: Whether version 1 of the API exists too.
    """

    def __init__(self, *, multi_user: bool = False, certificate: Path | None = None) -> None:
        self.multi_user = multi_user
        self.pipelines: dict[str, Json] = {}
        self.experiments: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.recurring: dict[str, Json] = {}
        self.token: str | None = None
        self.cookie: str | None = None
        self.answers_with: int | None = None
        self.refused: dict[str, list[int]] = {}
        self.stalled: set[str] = set()
        self.asked: list[str] = []
        self.states: list[str] = ["RUNNING"]
        self.nodes: dict[str, str] | list[dict[str, str]] = {}
        self.cancelled, self.serves_v1 = False, True
        self.ended = threading.Event()
        super().__init__(_handler(self))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        """Stops serving."""
        self.ended.set()
        super().close()

    def answer(self, method: str, path: str, query: Json, body: Any) -> Json:
        """Returns the API's response; a KeyError becomes the status 404."""
        match [method, *path.strip("/").split("/")]:
            case ["GET", "healthz"]:
                return {"multi_user": self.multi_user}
            case ["GET", "pipelines"]:
                place = self._namespace(query.get("namespace"))
                found = [one["described"] for one in self.pipelines.values()]
                return _listed("pipelines", query, [one for one in found if one["namespace"] == place])
            case ["POST", "pipelines"]:
                return self._pipeline(body.get("name") or body["display_name"], body.get("namespace"))
            case ["POST", "pipelines", "upload_version"]:
                return self._version(query["pipelineid"], query["name"], body)
            case ["GET", "pipelines", key, "versions"]:
                versions = [one["described"] for one in self.pipelines[key]["versions"].values()]
                return _listed("pipeline_versions", query, versions)
            case ["GET", "experiments"]:
                place = self._owned(query.get("namespace"))
                found = [one for one in self.experiments.values() if one["namespace"] == place]
                return _listed("experiments", query, found)
            case ["POST", "experiments"]:
                place = self._owned(body.get("namespace"))
                if any((one["name"], one["namespace"]) == (body["display_name"], place) for one in self._experiments()):
                    raise Failure(409, f"Create experiment failed: The name {body['display_name']} already exists")
                key = f"experiment-{len(self.experiments) + 1}"
                self.experiments[key] = {"name": body["display_name"], **body, "namespace": place, "experiment_id": key}
                return self.experiments[key]
            case ["POST", "runs"]:
                return self._started(self.runs, "run", body)
            case ["GET", "runs", key]:
                run = self.runs[key]
                state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
                return {**run, "state": state, "run_details": {"task_details": task_details(self._workflow())}}
            case ["POST", "recurringruns"]:
                if not 1 <= int(body["max_concurrency"]) <= 10:
                    raise Failure(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
                try:
                    parse(body["trigger"]["cron_schedule"]["cron"])
                except WrongCron as error:
                    form = "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron)"
                    failed = "Failed to create a recurring run due to conversion error"
                    message = f"{failed}: Invalid input error: {form}. Error: {error}"
                    raise Failure(400, message) from error
                made = self._started(self.recurring, "recurring_run", body)
                made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
                return made
            case ["GET", "recurringruns"]:
                place = self._owned(query.get("namespace"))
                found = [
                    one for one in self.recurring.values()
                    if self.experiments[one["experiment_id"]]["namespace"] == place
                ]  # fmt: skip
                return _listed("recurringRuns", query, found)
            case ["POST", "recurringruns", action]:
                key, _, verb = action.partition(":")
                self.recurring[key].update(mode=verb.upper(), status=f"{verb.upper()}D")
                return {}
            case ["DELETE", "recurringruns", key]:
                del self.recurring[key]
                return {}
        raise KeyError(path)

    def answer_v1(self, path: str) -> Json:
        """Returns the response of version 1 of the API for a run."""
        _, key = path.split("/")
        if not self.serves_v1:
            raise KeyError(path)
        manifest = json.dumps(self._workflow())
        if isinstance(self.nodes, list) and len(self.nodes) > 1:
            self.nodes.pop(0)
        return {"run": {"id": self.runs[key]["run_id"]}, "pipeline_runtime": {"workflow_manifest": manifest}}

    def _workflow(self) -> Json:
        nodes = self.nodes[0] if isinstance(self.nodes, list) else self.nodes
        return workflow(nodes, cancelled=self.cancelled)

    def _experiments(self) -> list[Json]:
        return list(self.experiments.values())

    def _namespace(self, given: str | None) -> str:
        """``ReplaceNamespace`` (resource_manager.go)."""
        return (given or "") if self.multi_user else ""

    def _owned(self, given: str | None) -> str:
        """A namespace in which the caller needs permissions."""
        place = self._namespace(given)
        if self.multi_user and not place:
            raise Failure(400, "Invalid input error: An experiment cannot have an empty namespace in multi-user mode")
        return place

    def _pipeline(self, name: str, namespace: str | None) -> Json:
        place = self._namespace(namespace)
        if any((one["described"]["name"], one["described"]["namespace"]) == (name, place) for one in
               self.pipelines.values()):  # fmt: skip
            raise Failure(409, "Failed to create a pipeline and a pipeline version")
        key = f"pipeline-{len(self.pipelines) + 1}"
        described = {"pipeline_id": key, "name": name, "display_name": name, "namespace": place}
        self.pipelines[key] = {"described": described, "versions": {}}
        return described

    def _version(self, pipeline: str, name: str, package: str) -> Json:
        if pipeline not in self.pipelines:
            raise Failure(400, "Failed to create a pipeline version")
        _load(package)
        versions = self.pipelines[pipeline]["versions"]
        if name in (version["described"]["name"] for version in versions.values()):
            raise Failure(409, "Failed to create a pipeline version")
        key = f"{pipeline}-version-{len(versions) + 1}"
        described = {"pipeline_id": pipeline, "pipeline_version_id": key, "name": name, "display_name": name}
        versions[key] = {"described": described, "package": package}
        return described

    def _started(self, kept: dict[str, Json], kind: str, body: Json) -> Json:
        if body.get("experiment_id") not in self.experiments:
            raise KeyError(body.get("experiment_id"))
        if reference := body.get("pipeline_version_reference"):
            versions = self.pipelines[reference["pipeline_id"]]["versions"]
            package = versions[reference.get("pipeline_version_id") or list(versions)[-1]]["package"]
        else:
            package = json.dumps(body["pipeline_spec"].get("pipeline_spec", body["pipeline_spec"]))
        known = _load(package).parameters
        for name, value in body["runtime_config"].get("parameters", {}).items():
            if name not in known:
                raise Failure(400, f"{_INPUTS}parameter(s) provided are not required by pipeline: {name}")
            taken, otherwise = _TYPES[known[name]["parameterType"]]
            if not isinstance(value, taken) or isinstance(value, bool):
                raise Failure(400, f"{_INPUTS}input parameter {name} requires type {otherwise}")
        key = f"{kind}-{len(kept) + 1}"
        kept[key] = {**body, f"{kind}_id": key}
        return kept[key]


@cache
def _load(package: str) -> Any:
    try:
        return load(package)
    except Refused as error:
        raise Failure(400, str(error)) from error


def _listed(kind: str, query: Json, items: list[Json]) -> Json:
    """Returns a page of a list (``validatedListOptions`` in list_request_util.go)."""
    order, given = query.get("sort_by", ""), query.get("filter", "")
    start = 0
    if token := query.get("page_token"):
        start, *criteria = json.loads(token)
        if (order or given) and criteria != [order, given]:
            raise Failure(400, "page token does not match the supplied sort by and/or filtering criteria")
        order, given = criteria
    for predicate in json.loads(given or "{}").get("predicates", ()):
        key = predicate["key"]
        if key not in _FIELDS[kind]:
            raise Failure(400, f'no support for filtering on unrecognized field "{key}"')
        assert predicate["operation"] in (1, "EQUALS")
        wanted = predicate.get("stringValue") or predicate.get("string_value")
        items = [item for item in items if item[key] == wanted]
    if order:
        field, _, direction = order.partition(" ")
        if field not in _FIELDS[kind]:
            raise Failure(400, f"Invalid sorting field: {field}")
        assert field == "created_at"  # the order in which they are kept
        items = items[::-1] if direction == "desc" else items
    size = min(int(query.get("page_size") or 0) or 20, 200)
    page = {kind: items[start : start + size], "total_size": len(items)}
    if start + size < len(items):
        page["next_page_token"] = json.dumps([start + size, order, given])
    return page


def _handler(api: KubeflowApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            found = re.fullmatch(r"/apis/(v1beta1|v2beta1)/(.+)", url.path)
            version, path = found.groups() if found else ("", url.path)
            api.asked.append(path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            try:
                if path in api.stalled:
                    api.ended.wait()
                    return
                if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                    raise Failure(401, "Request header error: there is no user identity header")
                if api.cookie and self.headers.get("Cookie") != api.cookie:
                    raise Failure(401, "Request header error: there is no user identity header")
                if api.answers_with and path != "healthz":
                    raise Failure(api.answers_with, "as it was told")
                if api.refused.get(path):
                    raise Failure(api.refused[path].pop(0), "as it was told")
                if version == "v1beta1":
                    said = api.answer_v1(path)
                elif version:
                    said = api.answer(self.command, path, query, self._body())
                else:
                    raise KeyError(path)
            except KeyError as error:
                self._refuse(path, 404, f"ResourceNotFoundError: {error} not found")
            except Failure as error:
                self._refuse(path, error.status, str(error))
            else:
                self._say(200, said)

        do_GET = do_POST = do_DELETE = _answer

        def _refuse(self, path: str, status: int, message: str) -> None:
            if path.startswith("pipelines/upload"):
                self._say(status, {"error_message": message, "error_details": message + _STACK})
                return
            if status == 500:
                message = f"Internal error: {message}{_STACK}"
            cause = "Internal Server Error" if status == 500 else message.rpartition("Invalid input error: ")[2]
            detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": _CODES[status], "message": cause}
            self._say(status, {"code": _CODES[status], "message": message, "details": [detail]})

        def _say(self, status: int, said: Json) -> None:
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _body(self) -> Any:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type") or ""
            if kind.startswith("multipart/"):
                message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw, policy=HTTP)
                (part,) = message.iter_parts()
                assert re.fullmatch(r".*\.yaml", part.get_filename() or "")
                return (
                    part.get_content()
                    if part.get_content_maintype() == "text"
                    else part.get_payload(decode=True).decode()
                )
            return json.loads(raw) if raw.strip() else None

        def log_message(self, *_: object) -> None:
            pass

    return Handler
