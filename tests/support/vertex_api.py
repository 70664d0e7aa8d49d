"""A stand-in for the REST API of Vertex AI (v1): pipeline jobs, schedules and deployed models.

Requests are parsed, and responses written, with the API's own messages, in which an unknown field is an error.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google.cloud import aiplatform_v1 as api
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from served import Served

Json = dict[str, Any]

NEXT_RUN = datetime(2030, 1, 7, 2, tzinfo=timezone.utc)
PAGE = 2  # small, so that clients must request several pages


class Refused(Exception):
    """A request that gets the status 400."""


class VertexApi(Served):
    """The server and its state.

    Attributes:
        jobs: Pipeline jobs, by resource name.
        schedules: Schedules, by resource name.
        endpoints: Endpoints, by display name.
        models: Models, by resource name with version.
        answers_with: Error statuses of the next responses.
        page: HTML body of such responses, instead of the API's own.
        deleted_after: Number of times that a deleted schedule is still listed.
    """

    def __init__(self, project: str, region: str) -> None:
        self.parent = f"projects/{project}/locations/{region}"
        self.jobs: dict[str, Any] = {}
        self.schedules: dict[str, Any] = {}
        self.endpoints: dict[str, Any] = {}
        self.models: dict[str, Any] = {}
        self.answers_with: list[int] = []
        self.page: str | None = None
        self.deleted_after = 0
        self._deleted: list[str] = []
        self._created = datetime(2029, 12, 31, tzinfo=timezone.utc)
        super().__init__(_handler(self))

    def add(self, schedule: Any) -> Any:
        """Adds a schedule."""
        self._created += timedelta(seconds=1)
        schedule.name = f"{self.parent}/schedules/{len(self.schedules) + 1}"
        schedule.state = schedule.state or api.Schedule.State.ACTIVE
        schedule.create_time, schedule.next_run_time = self._created, NEXT_RUN
        self.schedules[schedule.name] = schedule
        return schedule

    def deploy(self, endpoint: str, artifact_uri: str, *, traffic: int = 100) -> str:
        """Deploys a new model to an endpoint, which is created if missing; returns the model's display name."""
        self._created += timedelta(seconds=1)
        number = len(self.models) + 1
        name = f"{self.parent}/models/{number}"
        there = self.endpoints.setdefault(endpoint, api.Endpoint(display_name=endpoint))
        # The newest is not the last in the API's list.
        there.deployed_models.insert(
            0,
            api.DeployedModel(
                id=str(1000 - number), model=name, model_version_id="1", display_name=f"v{number}",
                create_time=self._created,
            ),
        )  # fmt: skip
        if traffic:
            self.move_traffic(endpoint, **{f"v{number}": traffic})
        self.models[f"{name}@1"] = api.Model(name=name, artifact_uri=artifact_uri)
        return f"v{number}"

    def move_traffic(self, endpoint: str, **shares: int) -> None:
        """Sets the shares of an endpoint's traffic, by the models' display names; the other models get none."""
        there = self.endpoints[endpoint]
        ids = {model.display_name: model.id for model in there.deployed_models}
        there.traffic_split = {ids[name]: share for name, share in shares.items()}

    def answer(self, method: str, path: str, query: Json, body: str) -> Any:
        """Returns the API's response; a KeyError becomes the status 404, and Refused 400."""
        name = path.removeprefix("/v1/")
        resource, _, verb = name.partition(":")
        match method, name.removeprefix(f"{self.parent}/").partition("/")[0], verb:
            case "POST", "pipelineJobs", "":
                job = api.PipelineJob.from_json(body)
                _check(job)
                job.name = f"{name}/{query['pipelineJobId']}"
                if job.name in self.jobs:
                    raise Refused(f"{job.name} exists")
                job.state = api.PipelineState.PIPELINE_STATE_PENDING
                self.jobs[job.name] = job
                return job
            case "GET", "pipelineJobs", "":
                return self.jobs[name]
            case "GET", "endpoints", "" if name == f"{self.parent}/endpoints":
                wanted = re.fullmatch(r'display_name="([^"]*)"', query["filter"])
                if wanted is None:
                    raise Refused(f"filter {query['filter']!r} is not understood")
                found = [one for one in self.endpoints.values() if one.display_name == wanted[1]]
                return api.ListEndpointsResponse(endpoints=found)
            case "GET", "models", "":
                return self.models[name]
            case "POST", "schedules", "":
                schedule = api.Schedule.from_json(body)
                request = schedule.create_pipeline_job_request
                if not (schedule.display_name and schedule.cron and schedule.max_concurrent_run_count):
                    raise Refused("a required field is not set")
                if request.parent != self.parent or request.pipeline_job_id:
                    raise Refused("the request for jobs is wrong")
                _check(request.pipeline_job)
                return self.add(schedule)
            case "GET", "schedules", "" if name == f"{self.parent}/schedules":
                return self._page(query)
            case "GET", "schedules", "":
                return self.schedules[name]
            case "POST", "schedules", "pause":
                api.PauseScheduleRequest.from_json(body)
                return self._changed(resource, "ACTIVE", "PAUSED")
            case "POST", "schedules", "resume":
                self.schedules[resource].catch_up = api.ResumeScheduleRequest.from_json(body).catch_up
                return self._changed(resource, "PAUSED", "ACTIVE")
            case "DELETE", "schedules", "":
                self._deleted.append(self.schedules[name].name)
                done = self.deleted_after == 0
                # An Operation, as JSON; clients wait for it by listing the schedules.
                return {"name": f"{self.parent}/operations/1", "done": done}
        raise KeyError(path)

    def _page(self, query: Json) -> Any:
        if self._deleted and self.deleted_after == 0:
            del self.schedules[self._deleted.pop()]
        self.deleted_after -= bool(self._deleted)
        if query.get("orderBy") != "create_time desc":
            raise Refused("schedules have another order here")
        start = int(query.get("pageToken", 0))
        rows = sorted(self.schedules.values(), key=lambda one: one.create_time, reverse=True)
        following = str(start + PAGE) if len(rows) > start + PAGE else ""
        return api.ListSchedulesResponse(schedules=rows[start : start + PAGE], next_page_token=following)

    def _changed(self, name: str, before: str, after: str) -> Json:
        if self.schedules[name].state.name != before:
            raise Refused(f"schedule is not {before}")
        self.schedules[name].state = api.Schedule.State[after]
        return {}


def _check(job: Any) -> None:
    described = json_format.MessageToDict(api.PipelineJob.pb(job))
    spec = json_format.ParseDict(described["pipelineSpec"], pb.PipelineSpec())
    if not job.runtime_config.gcs_output_directory.startswith("gs://"):
        raise Refused("runtime_config.gcs_output_directory is required")
    known = spec.root.input_definitions.parameters
    if wrong := [name for name in job.runtime_config.parameter_values if name not in known]:
        raise Refused(f"parameters {', '.join(wrong)} are not the pipeline's")


def _handler(vertex: VertexApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            if vertex.answers_with:
                self._fail(vertex.answers_with.pop(0), "reasons of its own")
                return
            try:
                said = vertex.answer(self.command, unquote(url.path), query, body)
            except KeyError as error:
                self._fail(404, f"{error} not found")
            except (Refused, json_format.ParseError) as error:
                self._fail(400, str(error))
            else:
                integers = "enum-encoding=int" in query.get("$alt", "")
                self._send(
                    200,
                    json.dumps(said)
                    if isinstance(said, dict)
                    else type(said).to_json(said, use_integers_for_enums=integers),
                )

        def _fail(self, status: int, message: str) -> None:
            self._send(status, vertex.page or json.dumps({"error": {"code": status, "message": message}}))

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if text.startswith("<") else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
