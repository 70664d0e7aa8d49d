"""Runs and schedules on Kubeflow Pipelines v2, through its own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compressor_lib.errors import unknown
from pipelines.platforms.base import Progress, RemoteRun, Schedule, Values, name_taken
from pipelines.platforms.cron import Cron
from pipelines.platforms.kubeflow_client import KubeflowClient
from pipelines.platforms.kubeflow_progress import progress_of
from pipelines.platforms.kubeflow_uploads import uploaded
from pipelines.platforms.package_file import PackageFile

_PAGE = 100


class Kubeflow:
    """A :class:`pipelines.platforms.base.Platform`.

    A package is uploaded only once: the pipeline's version is named after its content.
    """

    def __init__(self, host: str, *, namespace: str | None = None) -> None:
        """Logs in, and checks that the API responds.

        Args:
            host: URL of the API, such as ``https://kubeflow.example.org/pipeline``.
            namespace: The user's namespace, on a multi-user cluster.

        Raises:
            CompressorError: If the API cannot be reached, refuses the log-in, or needs a namespace.
        """
        self._client = KubeflowClient(host, namespace)
        self._cancelled: set[str] = set()

    def submit(
        self, package: Path, *, name: str, parameters: Values, pipeline_root: str | None, caching: bool = True
    ) -> RemoteRun:
        """See the protocol."""
        with self._explained_errors(f"package {package}") as api:
            pipeline, version = uploaded(self._client, package, name)
            # Caching is fixed in an uploaded version, so a run without caching submits the package itself.
            what = (
                {"pipeline_id": pipeline, "version_id": version} if caching else {"pipeline_package_path": str(package)}
            )
            run = api.run_pipeline(
                self._experiment(name), name, params=dict(parameters), pipeline_root=pipeline_root,
                enable_caching=None if caching else False, **what,
            )  # fmt: skip
        return self._run(run)

    def progress(self, run_id: str) -> Progress:
        """See the protocol."""
        with self._explained_errors(f"run {run_id}") as api:
            run = api.get_run(run_id)
            if run.state == "CANCELING":
                self._cancelled.add(run_id)
            return progress_of(self._client, run, cancelled=run_id in self._cancelled)

    def create_schedule(
        self, package: Path, *, name: str, cron: Cron, parameters: Values, pipeline_root: str | None
    ) -> Schedule:
        """See the protocol. The schedule uses the same pipeline as the package's runs."""
        expression = cron.for_kubeflow()
        if name in (known.name for known in self.schedules()):
            raise name_taken(name)
        pipeline_name = PackageFile.read(package).name
        with self._explained_errors(f"package {package}") as api:
            pipeline, version = uploaded(self._client, package, pipeline_name)
            made = api.create_recurring_run(
                self._experiment(pipeline_name), name, cron_expression=expression, max_concurrency=1, no_catchup=True,
                params=dict(parameters), pipeline_id=pipeline, version_id=version, pipeline_root=pipeline_root,
            )  # fmt: skip
        return _schedule(made)

    def schedules(self) -> list[Schedule]:
        """See the protocol."""
        return [_schedule(one) for one in self._recurring_runs() if one.trigger and one.trigger.cron_schedule]

    def pause(self, name: str) -> None:
        """See the protocol."""
        with self._explained_errors(f"schedule {name!r}") as api:
            api.disable_recurring_run(self._found(name).recurring_run_id)

    def resume(self, name: str) -> None:
        """See the protocol."""
        with self._explained_errors(f"schedule {name!r}") as api:
            api.enable_recurring_run(self._found(name).recurring_run_id)

    def delete(self, name: str) -> None:
        """See the protocol."""
        with self._explained_errors(f"schedule {name!r}") as api:
            api.delete_recurring_run(self._found(name).recurring_run_id)

    def run_now(self, name: str) -> RemoteRun:
        """See the protocol."""
        from kfp_server_api import V2beta1Run

        with self._explained_errors(f"schedule {name!r}") as api:
            schedule = self._found(name)
            same = ("experiment_id", "pipeline_spec", "pipeline_version_reference", "runtime_config", "service_account")
            body = V2beta1Run(display_name=name, **{key: getattr(schedule, key) for key in same})
            run = api.runs.run_service_create_run(body=body)
        return self._run(run)

    def _run(self, run: Any) -> RemoteRun:
        return RemoteRun(run.run_id, self._client.link(run.run_id))

    def _experiment(self, name: str) -> str:
        client = self._client
        experiment: str = client.api.create_experiment(name, namespace=client.namespace).experiment_id
        return experiment

    def _recurring_runs(self) -> list[Any]:
        """Fetches all recurring runs, the newest first."""
        found: list[Any] = []
        token = ""
        with self._explained_errors() as api:
            while True:
                page = api.list_recurring_runs(
                    page_token=token, page_size=_PAGE, sort_by="created_at desc", namespace=self._client.namespace
                )
                found += page.recurring_runs or []
                token = page.next_page_token
                if not token:
                    return found

    def _found(self, name: str) -> Any:
        """Finds a schedule by name; the newest of several."""
        known = {one.display_name: one for one in reversed(self._recurring_runs())}
        if name not in known:
            raise unknown("schedule", name, known)
        return known[name]

    @contextmanager
    def _explained_errors(self, what: str = "") -> Iterator[Any]:
        """Yields the client, with errors of the API explained in one message."""
        with self._client.explained_errors(what):
            yield self._client.api


def _schedule(recurring: Any) -> Schedule:
    cron = Cron.of_kubeflow(recurring.trigger.cron_schedule.cron)
    paused = recurring.mode != "ENABLE" and recurring.status != "ENABLED"
    return Schedule(
        recurring.display_name,
        recurring.recurring_run_id,
        cron,
        paused,
        None if paused else next(iter(cron.next_runs(1)), None),
    )
