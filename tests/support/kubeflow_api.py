"""A stand-in for the REST API of Kubeflow Pipelines (v2beta1), as far as the ``kfp`` client is used."""

from __future__ import annotations

import email
import json
import re
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubeflow_backend import Refused, load
from served import Served

Json = dict[str, Any]

PREFIX = "/apis/v2beta1/"


class KubeflowApi(Served):
    """The server, and what it has been told.

    Attributes:
        pipelines: By id: name and versions, each version with the package's text.
        runs: Their bodies, by id.
        recurring: Recurring runs' bodies, by id.
        token: What a request must bear; None: nothing.
        answers_with: Status of every answer but for the first, to see errors; None: all is well.
        refused: Paths whose next requests are answered by these statuses.
        tasks: The task details of every run.
    """

    def __init__(self) -> None:
        self.pipelines: dict[str, Json] = {}
        self.experiments: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.recurring: dict[str, Json] = {}
        self.token: str | None = None
        self.answers_with: int | None = None
        self.refused: dict[str, list[int]] = {}
        self.state, self.tasks, self.error = "RUNNING", [], None
        super().__init__(_handler(self))

    def answer(self, method: str, path: str, query: Json, body: Any) -> Json:
        """What the API says; a KeyError is a 404, a Refused a 400."""
        match [method, *path.strip("/").split("/")]:
            case ["GET", "healthz"]:
                return {"multi_user": False}
            case ["GET", "pipelines"]:
                return {"pipelines": _named(query, [one["described"] for one in self.pipelines.values()])}
            case ["POST", "pipelines", "upload"]:
                key = f"pipeline-{len(self.pipelines) + 1}"
                described = {"pipeline_id": key, "display_name": query["name"]}
                self.pipelines[key] = {"described": described, "versions": {}}
                self._version(key, query["name"], body)
                return described
            case ["POST", "pipelines", "upload_version"]:
                return self._version(query["pipelineid"], query["name"], body)
            case ["GET", "pipelines", key, "versions"]:
                return {"pipeline_versions": [one["described"] for one in self.pipelines[key]["versions"].values()]}
            case ["GET", "experiments"]:
                return {"experiments": _named(query, list(self.experiments.values()))}
            case ["POST", "experiments"]:
                key = f"experiment-{len(self.experiments) + 1}"
                self.experiments[key] = {**body, "experiment_id": key}
                return self.experiments[key]
            case ["POST", "runs"]:
                return self._started(self.runs, "run", body)
            case ["GET", "runs", key]:
                details = {"task_details": self.tasks}
                return {**self.runs[key], "state": self.state, "run_details": details, "error": self.error}
            case ["POST", "recurringruns"]:
                made = self._started(self.recurring, "recurring_run", body)
                made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
                return made
            case ["GET", "recurringruns"]:
                return {"recurringRuns": list(reversed(self.recurring.values()))}
            case ["POST", "recurringruns", action]:
                key, _, verb = action.partition(":")
                self.recurring[key].update(mode=verb.upper(), status=f"{verb.upper()}D")
                return {}
            case ["DELETE", "recurringruns", key]:
                del self.recurring[key]
                return {}
        raise KeyError(path)

    def _version(self, pipeline: str, name: str, package: str) -> Json:
        load(package)
        versions = self.pipelines[pipeline]["versions"]
        if name in (version["described"]["display_name"] for version in versions.values()):
            raise Refused(f"version {name} already exists")
        key = f"{pipeline}-version-{len(versions) + 1}"
        described = {"pipeline_id": pipeline, "pipeline_version_id": key, "display_name": name}
        versions[key] = {"described": described, "package": package}
        return described

    def _started(self, kept: dict[str, Json], kind: str, body: Json) -> Json:
        assert body["experiment_id"] in self.experiments
        if reference := body.get("pipeline_version_reference"):
            package = self.pipelines[reference["pipeline_id"]]["versions"][reference["pipeline_version_id"]]["package"]
        else:
            package = json.dumps(body["pipeline_spec"].get("pipeline_spec", body["pipeline_spec"]))
        if unknown := body["runtime_config"].get("parameters", {}).keys() - load(package).parameters.keys():
            raise Refused(f"parameters {', '.join(unknown)} are not the pipeline's")
        key = f"{kind}-{len(kept) + 1}"
        kept[key] = {**body, f"{kind}_id": key}
        return kept[key]


def _named(query: Json, items: list[Json]) -> list[Json]:
    (predicate,) = json.loads(query["filter"])["predicates"]
    wanted = predicate.get("stringValue") or predicate.get("string_value")
    return [item for item in items if item["display_name"] == wanted]


def _handler(api: KubeflowApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            assert url.path.startswith(PREFIX), self.path
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, said = 200, {}
            if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                status, said = 401, {"error": "no valid token"}
            elif api.answers_with and not url.path.endswith("healthz"):
                status, said = api.answers_with, {"error": "as it was told"}
            elif api.refused.get(url.path.removeprefix(PREFIX)):
                status, said = api.refused[url.path.removeprefix(PREFIX)].pop(0), {"error": "as it was told"}
            else:
                try:
                    said = api.answer(self.command, url.path.removeprefix(PREFIX), query, self._body())
                except KeyError as error:
                    status, said = 404, {"error": f"no {error}"}
                except Refused as error:
                    status, said = 400, {"error": str(error)}
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _answer

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
