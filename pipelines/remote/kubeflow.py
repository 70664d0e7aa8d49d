"""Runs and schedules on Kubeflow Pipelines v2, through its own client."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from compressor_lib.errors import CompressorError, unknown
from compressor_lib.support.proxies import (
    is_proxys,
    proxies_for,
    proxy_for,
    proxy_headers,
    reason,
    via,
    without_proxy,
)
from pipelines.remote.cron import Cron
from pipelines.remote.platform import Progress, RemoteRun, Schedule, State, Values, name_taken

TOKEN, COOKIES = "KFP_TOKEN", "KFP_COOKIES"
"""Environment variables with what a cluster wants to see; the client knows further ways by itself."""

_STATES = {
    "PENDING": State.WAITING,
    "RUNNING": State.RUNNING,
    "CANCELING": State.RUNNING,
    "PAUSED": State.WAITING,
    "SUCCEEDED": State.DONE,
    "SKIPPED": State.CACHED,
    "FAILED": State.FAILED,
    "CANCELED": State.STOPPED,
}
_PAGE = 100
_PATIENCE = 30
"""Seconds to wait for the first answer."""


class Kubeflow:
    """A :class:`pipelines.remote.platform.Platform`.

    A package is uploaded once: its version of the pipeline is named by its content.
    """

    def __init__(self, host: str, *, namespace: str | None = None) -> None:
        """Looks whether the API answers.

        Args:
            host: URL of the API, such as ``https://kubeflow.example.org/pipeline``.
            namespace: The user's, where a cluster has many users.

        Raises:
            CompressorError: If it cannot be reached, or lets nobody in.
        """
        self._host, self._namespace = host.rstrip("/"), namespace
        self._check_host()
        with self._told(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client = _client(self._host, namespace)

    def submit(
        self, package: Path, *, name: str, parameters: Values, pipeline_root: str | None, caching: bool = True
    ) -> RemoteRun:
        """See the protocol."""
        with self._told(f"package {package}"):
            pipeline, version = self._uploaded(package, name)
            # The caching of a version is fixed, so that a run without it takes the package itself.
            what = (
                {"pipeline_id": pipeline, "version_id": version} if caching else {"pipeline_package_path": str(package)}
            )
            run = self._client.run_pipeline(
                self._experiment(name), name, params=dict(parameters), pipeline_root=pipeline_root,
                enable_caching=None if caching else False, **what,
            )  # fmt: skip
        return self._run(run)

    def progress(self, run_id: str) -> Progress:
        """See the protocol."""
        with self._told(f"run {run_id}"):
            run = self._client.get_run(run_id)
        details = (run.run_details and run.run_details.task_details) or []
        # Each node has a driver beside it; the other entries are the backend's own.
        states = {detail.display_name: _STATES.get(detail.state, State.WAITING) for detail in details}
        nodes = {name: state for name, state in states.items() if f"{name}-driver" in states and name != "root"}
        reasons = [detail.error.message for detail in details if detail.error and detail.error.message]
        reason = run.error.message if run.error and run.error.message else next(iter(reasons), "")
        return Progress(_STATES.get(run.state, State.WAITING), nodes, reason)

    def create_schedule(
        self, package: Path, *, name: str, cron: Cron, parameters: Values, pipeline_root: str | None
    ) -> Schedule:
        """See the protocol."""
        if name in (known.name for known in self.schedules()):
            raise name_taken(name)
        with self._told(f"package {package}"):
            pipeline, version = self._uploaded(package, name)
            made = self._client.create_recurring_run(
                self._experiment(name), name, cron_expression=cron.for_kubeflow(), max_concurrency=1, no_catchup=True,
                params=dict(parameters), pipeline_id=pipeline, version_id=version, pipeline_root=pipeline_root,
            )  # fmt: skip
        return _schedule(made)

    def schedules(self) -> list[Schedule]:
        """See the protocol."""
        return [_schedule(one) for one in self._recurring_runs() if one.trigger and one.trigger.cron_schedule]

    def pause(self, name: str) -> None:
        """See the protocol."""
        with self._told():
            self._client.disable_recurring_run(self._found(name).recurring_run_id)

    def resume(self, name: str) -> None:
        """See the protocol."""
        with self._told():
            self._client.enable_recurring_run(self._found(name).recurring_run_id)

    def delete(self, name: str) -> None:
        """See the protocol."""
        with self._told():
            self._client.delete_recurring_run(self._found(name).recurring_run_id)

    def run_now(self, name: str) -> RemoteRun:
        """See the protocol."""
        with self._told():
            schedule = self._found(name)
            version, given = schedule.pipeline_version_reference, schedule.runtime_config
            run = self._client.run_pipeline(
                schedule.experiment_id, name, pipeline_id=version.pipeline_id, version_id=version.pipeline_version_id,
                params=(given and given.parameters) or {}, pipeline_root=given and given.pipeline_root,
            )  # fmt: skip
        return self._run(run)

    def _run(self, run: Any) -> RemoteRun:
        return RemoteRun(run.run_id, f"{self._host}/#/runs/details/{run.run_id}")

    def _experiment(self, name: str) -> str:
        experiment: str = self._client.create_experiment(name, namespace=self._namespace).experiment_id
        return experiment

    def _uploaded(self, package: Path, name: str) -> tuple[str, str]:
        """Ids of the pipeline and of the version that holds the package."""
        digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
        pipeline = self._client.get_pipeline_id(name)
        if pipeline is None:
            pipeline = self._client.upload_pipeline(str(package), name, namespace=self._namespace).pipeline_id
        listed = self._client.list_pipeline_versions(pipeline, page_size=_PAGE, sort_by="created_at desc")
        for version in listed.pipeline_versions or []:
            if version.display_name == digest:
                return pipeline, version.pipeline_version_id
        made = self._client.upload_pipeline_version(str(package), digest, pipeline_id=pipeline)
        return pipeline, made.pipeline_version_id

    def _recurring_runs(self) -> list[Any]:
        found: list[Any] = []
        token = ""
        with self._told():
            while True:
                page = self._client.list_recurring_runs(
                    page_token=token, page_size=_PAGE, sort_by="created_at desc", namespace=self._namespace
                )
                found += page.recurring_runs or []
                token = page.next_page_token
                if not token:
                    return found

    def _found(self, name: str) -> Any:
        known = {one.display_name: one for one in self._recurring_runs()}
        if name not in known:
            raise unknown("schedule", name, known)
        return known[name]

    def _check_host(self) -> None:
        """Asks once; the client would ask for half a minute, and say nothing."""
        import requests
        from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL, MissingSchema
        from urllib3.exceptions import LocationParseError

        headers = {"Authorization": f"Bearer {os.environ[TOKEN]}"} if TOKEN in os.environ else {}
        if COOKIES in os.environ:
            headers["Cookie"] = os.environ[COOKIES]
        try:
            answer = requests.get(
                f"{self._host}/apis/v2beta1/healthz", headers=headers, timeout=_PATIENCE,
                proxies=proxies_for(self._host),
            )  # fmt: skip
        except (MissingSchema, InvalidSchema):
            raise CompressorError(f"host {self._host!r} is no URL: begin with https:// or http://.") from None
        except (InvalidURL, LocationParseError):  # the latter for hosts such as a..b
            raise CompressorError(f"host {self._host!r} is no URL: check --host.") from None
        except InvalidHeader:  # which quotes it
            raise CompressorError(f"${TOKEN} or ${COOKIES} holds a line break: give it without.") from None
        except requests.exceptions.RequestException as error:
            raise CompressorError(self._unreachable(error)) from error
        if not answer.ok:
            raise CompressorError(self._explained(answer.status_code, answer.text))
        if "json" not in answer.headers.get("Content-Type", ""):
            raise CompressorError(
                f"{self._host} answers with a web page, perhaps to log in: give the URL of the KFP API, and a token in "
                f"${TOKEN} or cookies in ${COOKIES}."
            )

    @contextmanager
    def _told(self, what: str = "") -> Iterator[None]:
        """Says in one sentence what the API has refused; what the client prints is kept back."""
        import kfp_server_api
        import urllib3

        try:
            with redirect_stdout(io.StringIO()):
                yield
        except kfp_server_api.ApiException as error:
            raise CompressorError(self._explained(error.status, str(error.body or error.reason), what)) from error
        except urllib3.exceptions.HTTPError as error:
            raise CompressorError(self._unreachable(error)) from error
        except OSError as error:
            raise CompressorError(f"{what or self._host} cannot be read: {error}") from error

    def _unreachable(self, error: Exception) -> str:
        through = via(self._host)
        if through:
            return (
                f"{self._host} cannot be reached{through} ({reason(error)}): check the proxy, or "
                f"{without_proxy(self._host)}."
            )
        return (
            f"{self._host} cannot be reached: check --host and the network, or forward the port "
            "(kubectl port-forward -n kubeflow svc/ml-pipeline 8888)."
        )

    def _explained(self, status: int, body: str, what: str = "") -> str:
        words = " ".join(body.split())[:300]
        if is_proxys(self._host, status, body):
            return (
                f"{via(self._host).removeprefix(' through ')} answers {status} in place of {self._host}: check the "
                f"proxy, or {without_proxy(self._host)}. It says: {words}"
            )
        if status == 401:
            return (
                f"{self._host} takes no one without a valid token: renew the one in ${TOKEN}, or cookies in ${COOKIES}."
            )
        if status == 403:
            where = f"namespace {self._namespace!r}" if self._namespace else "this namespace (give --namespace)"
            return f"{self._host} refuses: you may not do this in {where}. It says: {words}"
        if status == 404:
            return f"{self._host} does not know {what or 'this API'}: check --host, which must be Kubeflow Pipelines 2."
        if status == 429:
            return f"{self._host} is asked too often, or a quota is used up: try again later; nothing is lost."
        return f"{self._host} answers {status}{f' to {what}' if what else ''}: {words}"


def _client(host: str, namespace: str | None) -> Any:
    """The client of kfp, which looks for a proxy nowhere by itself."""
    import kfp

    class Client(kfp.Client):
        def _load_config(self, *given: Any, **named: Any) -> Any:
            config = super()._load_config(*given, **named)
            config.proxy_headers = proxy_headers(host) or None
            return config

    return Client(
        host=host,
        existing_token=os.environ.get(TOKEN),
        cookies=os.environ.get(COOKIES),
        proxy=proxy_for(host),
        **({"namespace": namespace} if namespace else {}),
    )


def _schedule(recurring: Any) -> Schedule:
    cron = Cron.of_platform(recurring.trigger.cron_schedule.cron)
    paused = recurring.mode != "ENABLE" and recurring.status != "ENABLED"
    return Schedule(
        recurring.display_name,
        recurring.recurring_run_id,
        cron,
        paused,
        None if paused else next(iter(cron.next_runs(1)), None),
    )
