"""Runs and schedules on Vertex AI Pipelines, through Google's own client."""

from __future__ import annotations

import json
import re
import secrets
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from compressor_lib.errors import CompressorError, unknown
from compressor_lib.support.proxies import via
from pipelines.platforms.base import GoneError, Progress, RemoteRun, Schedule, State, Values, name_taken
from pipelines.platforms.cron import Cron

_STATES = {
    "QUEUED": State.WAITING,
    "PENDING": State.WAITING,
    "PAUSED": State.WAITING,
    "RUNNING": State.RUNNING,
    "CANCEL_PENDING": State.RUNNING,
    "CANCELLING": State.RUNNING,
    "SUCCEEDED": State.DONE,
    "SKIPPED": State.CACHED,
    "FAILED": State.FAILED,
    "CANCELLED": State.STOPPED,
    "NOT_TRIGGERED": State.LEFT_OUT,
}
_PROJECT = re.compile(r"[a-z0-9][-a-z0-9.:]*")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_REQUEST = re.compile(r"^[A-Z]+ \S+: ")  # prefix that the client adds to a response's message
_TIMEOUT = 60.0
"""Seconds to wait for a response."""
_LOG_IN = "https://oauth2.googleapis.com"
_BRIDGED = 60.0
"""Seconds for which requests for a run's progress are retried."""
_DELETED_WITHIN = 30
"""Seconds within which a deleted schedule must disappear."""


class Vertex:
    """A :class:`pipelines.platforms.base.Platform`.

    It uses the REST API, which works through proxies like web pages do.
    """

    def __init__(
        self,
        project: str,
        region: str,
        *,
        service_account: str | None = None,
        endpoint: str | None = None,
        credentials: Any = None,
    ) -> None:
        """Finds credentials, without sending a request.

        Args:
            project: ID of the Google Cloud project.
            region: Region, such as ``europe-west4``.
            service_account: Account that nodes run as; None for the project's default.
            endpoint: URL of the API; None for the region's.
            credentials: Credentials of :mod:`google.auth`; None for Application Default Credentials.

        Raises:
            CompressorError: If project or region are invalid, or there are no credentials.
        """
        if not _PROJECT.fullmatch(project):
            raise CompressorError(f"project {project!r} is not a valid project ID: give one such as my-project.")
        if not _REGION.fullmatch(region):
            raise CompressorError(f"region {region!r} is not a valid region: give one such as europe-west4.")
        self._project, self._region, self._service_account = project, region, service_account
        self._host = endpoint or f"https://{region}-aiplatform.googleapis.com"
        self._parent = f"projects/{project}/locations/{region}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from google.cloud import aiplatform_v1 as api

            given = {
                "transport": "rest", "credentials": credentials, "client_options": {"api_endpoint": self._host},
            }  # fmt: skip
            with self._explained_errors():
                self._jobs: Any = api.PipelineServiceClient(**given)
                self._schedules: Any = api.ScheduleServiceClient(**given)

    def submit(
        self, package: Path, *, name: str, parameters: Values, pipeline_root: str | None, caching: bool
    ) -> RemoteRun:
        """See the protocol."""
        return self._started(self._job(package, name, parameters, pipeline_root, caching), f"package '{package}'")

    def progress(self, run_id: str) -> Progress:
        """See the protocol. Requests are retried if the API is briefly unavailable."""
        import requests
        from google.api_core.exceptions import ServerError
        from google.api_core.retry import Retry, if_exception_type

        what = f"run {run_id!r}"
        if not run_id or "/" in run_id:  # the client's error would not be readable
            raise GoneError(self._unknown(what))
        again = Retry(if_exception_type(ServerError, requests.ConnectionError, requests.Timeout), timeout=_BRIDGED)
        with self._explained_errors(what):
            job = self._jobs.get_pipeline_job(
                name=f"{self._parent}/pipelineJobs/{run_id}", retry=again, timeout=_TIMEOUT
            )
        # Vertex also lists the whole pipeline as a task.
        known = job.pipeline_spec["root"]["dag"]["tasks"]
        tasks = [task for task in job.job_detail.task_details if task.task_name in known]
        nodes = {task.task_name: _state(task) for task in tasks}
        failed = [task for task in tasks if _state(task) is State.FAILED and task.error.message]
        reason = "; ".join(f"{task.task_name}: {task.error.message}" for task in failed) or job.error.message
        return Progress(_state(job), nodes, reason)

    def create_schedule(
        self, package: Path, *, name: str, cron: Cron, parameters: Values, pipeline_root: str | None
    ) -> Schedule:
        """See the protocol."""
        from google.cloud.aiplatform_v1 import CreatePipelineJobRequest
        from google.cloud.aiplatform_v1 import Schedule as VertexSchedule

        if any(known.display_name == name and _is_alive(known) for known in self._listed()):
            raise name_taken(name)
        job = self._job(package, name, parameters, pipeline_root)
        limits = {"max_concurrent_run_count": 1}  # runs that are being started at a time
        if "max_concurrent_active_run_count" in VertexSchedule.meta.fields:  # missing in older clients
            limits["max_concurrent_active_run_count"] = 1  # runs that are active at a time
        schedule = VertexSchedule(
            display_name=name,
            cron=cron.for_vertex(),
            **limits,
            create_pipeline_job_request=CreatePipelineJobRequest(parent=self._parent, pipeline_job=job),
        )
        with self._explained_errors(f"package '{package}'"):
            made = self._schedules.create_schedule(parent=self._parent, schedule=schedule, timeout=_TIMEOUT)
        return _schedule(made)

    def schedules(self) -> list[Schedule]:
        """See the protocol. A schedule that has ended counts as paused."""
        return [_schedule(one) for one in self._listed()]

    def pause(self, name: str) -> None:
        """See the protocol."""
        found = self._found(name)
        with self._explained_errors(f"schedule {name!r}"):
            self._schedules.pause_schedule(name=found, timeout=_TIMEOUT)

    def resume(self, name: str) -> None:
        """See the protocol."""
        found = self._found(name)
        with self._explained_errors(f"schedule {name!r}"):
            self._schedules.resume_schedule(name=found, catch_up=False, timeout=_TIMEOUT)

    def delete(self, name: str) -> None:
        """See the protocol. The name is free when this method returns."""
        found = self._found(name)
        with self._explained_errors(f"schedule {name!r}"):
            self._schedules.delete_schedule(name=found, timeout=_TIMEOUT)
        # Over REST, the client would look up the operation below /ui/, which is for the console.
        for _ in range(_DELETED_WITHIN):
            if all(one.name != found for one in self._listed()):
                return
            time.sleep(1)
        raise CompressorError(
            f"schedule {name!r} still exists after {_DELETED_WITHIN} s: check 'compressor schedule list', and delete "
            "it again if it is still there."
        )

    def run_now(self, name: str) -> RemoteRun:
        """See the protocol."""
        found = self._found(name)
        with self._explained_errors(f"schedule {name!r}"):
            job = self._schedules.get_schedule(name=found, timeout=_TIMEOUT).create_pipeline_job_request.pipeline_job
        job.display_name = job.display_name or name
        return self._started(job, f"schedule {name!r}")

    def _job(
        self, package: Path, name: str, parameters: Values, pipeline_root: str | None, caching: bool = True
    ) -> Any:
        """Builds the PipelineJob of a package for a run."""
        from google.cloud.aiplatform_v1 import PipelineJob
        from google.protobuf.json_format import ParseError

        try:
            described = json.loads(package.read_text(encoding="utf-8"))
            tasks = described["pipelineSpec"]["root"]["dag"]["tasks"]
            config = described.setdefault("runtimeConfig", {})
            config["parameterValues"] = {**config.get("parameterValues", {}), **parameters}
            if pipeline_root:
                config["gcsOutputDirectory"] = pipeline_root
            if not caching:
                for task in tasks.values():
                    task["cachingOptions"] = {"enableCache": False}
            job = PipelineJob.from_json(json.dumps(described))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ParseError) as error:
            raise CompressorError(
                f"'{package}' is not a package for Vertex AI: create one with 'compressor compile --target vertex'."
            ) from error
        job.display_name = name
        if self._service_account:
            job.service_account = self._service_account
        return job

    def _started(self, job: Any, what: str) -> RemoteRun:
        """Starts a run, whose ID consists of the pipeline's name, the time and a random suffix."""
        words = re.sub("[^a-z0-9]+", "-", job.display_name.lower()).strip("-")[:80]
        run_id = f"{words}-{datetime.now(timezone.utc):%Y%m%d%H%M%S}-{secrets.token_hex(2)}"
        if not words[:1].isalpha():
            run_id = f"run-{run_id}"
        with self._explained_errors(what):
            made = self._jobs.create_pipeline_job(
                parent=self._parent, pipeline_job=job, pipeline_job_id=run_id, timeout=_TIMEOUT
            )
        run_id = made.name.rpartition("/")[2]
        return RemoteRun(
            run_id,
            f"https://console.cloud.google.com/vertex-ai/locations/{self._region}/pipelines/runs/{run_id}"
            f"?project={self._project}",
        )

    def _listed(self) -> list[Any]:
        """Lists all schedules of pipelines (not those of notebooks), the newest first."""
        with self._explained_errors():
            found = list(
                self._schedules.list_schedules(
                    request={"parent": self._parent, "order_by": "create_time desc"}, timeout=_TIMEOUT
                )
            )
        return [one for one in found if "create_pipeline_job_request" in one]

    def _found(self, name: str) -> str:
        """Finds the resource of a schedule by name; the newest of several, active ones first."""
        ordered = sorted(self._listed(), key=lambda one: (_is_alive(one), one.create_time))
        known = {one.display_name: one.name for one in ordered}  # the last one counts
        if name not in known:
            raise unknown("schedule", name, known)
        return known[name]

    @contextmanager
    def _explained_errors(self, what: str = "this") -> Iterator[None]:
        """Explains errors of the API, or of the connection to it, in one message."""
        import requests
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except (GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            kind = GoneError if getattr(error, "code", None) == 404 else CompressorError
            raise kind(self._explained(error, what)) from error

    def _explained(self, error: BaseException | None, what: str) -> str:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError, TransportError

        if isinstance(error, RetryError):
            return self._explained(error.cause, what)
        if isinstance(error, TransportError):
            return f"Google's log-in cannot be reached{via(_LOG_IN)}: check the network."
        # The messages of these errors are omitted, because they may contain credentials.
        if isinstance(error, GoogleAuthError) or getattr(error, "code", None) == 401:
            return (
                "Google Cloud requires valid credentials: log in with gcloud auth application-default login, or set "
                "$GOOGLE_APPLICATION_CREDENTIALS to a key file."
            )
        if not isinstance(error, GoogleAPICallError):
            return f"{self._host} cannot be reached{via(self._host)}: check the network and --region {self._region}."
        where = self._where()
        words = " ".join(_REQUEST.sub("", error.message).split())[:300]
        if error.code == 404:  # for a wrong region, the message is a web page
            return self._unknown(what)
        if error.code == 403:
            return (
                f"you lack permission in {where}: check --project, or ask its owner to grant you the role "
                f"roles/aiplatform.user. Vertex AI says: {words}"
            )
        if error.code == 429:
            return (
                f"a quota is exhausted in {where}: try again later, or request more in the console under Quotas; "
                f"nothing is lost. Vertex AI says: {words}"
            )
        if error.code is not None and error.code >= 500:
            return f"{self._host} responds with {int(error.code)}: try again later. It says: {words}"
        return f"Vertex AI refuses {what} in {where}: {words}"

    def _unknown(self, what: str) -> str:
        return f"Vertex AI does not know {what} in {self._where()}: check --project and --region."

    def _where(self) -> str:
        return f"project {self._project!r}, region {self._region!r}"


def _state(of: Any) -> State:
    """The state of a job or a task; an unknown state counts as not final."""
    return _STATES.get(getattr(of.state, "name", "").removeprefix("PIPELINE_STATE_"), State.WAITING)


def _is_alive(schedule: Any) -> bool:
    return schedule.state.name != "COMPLETED"


def _schedule(of: Any) -> Schedule:
    paused = of.state.name != "ACTIVE"
    return Schedule(
        of.display_name,
        of.name.rpartition("/")[2],
        Cron.of_vertex(of.cron),
        paused,
        None if paused else of.next_run_time,
    )
