from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import google.auth
import pytest
import requests
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as sdk
from vertex_api import NEXT_RUN, VertexApi

from compressor_lib.errors import CompressorError
from pipelines.platforms import vertex as module
from pipelines.platforms.base import GoneError, Platform, Progress, RemoteRun, Schedule, State
from pipelines.platforms.cron import Cron
from pipelines.platforms.vertex import Vertex

PACKAGE = Path(__file__).parents[1] / "kubeflow" / "golden" / "vertex.json"
PROJECT, REGION = "my-project", "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
MONDAYS = Cron("0 3 * * 1", "Europe/Berlin")
PIPELINE_STATE, TASK_STATE = sdk.PipelineState, sdk.PipelineTaskDetail.State


@pytest.fixture
def api() -> Iterator[VertexApi]:
    api = VertexApi(PROJECT, REGION)
    yield api
    api.close()


@pytest.fixture
def vertex(api) -> Vertex:
    return connected(api)


def connected(api: VertexApi, **given) -> Vertex:
    return Vertex(PROJECT, REGION, endpoint=api.url, credentials=AnonymousCredentials(), **given)


def submitted(vertex: Platform, **given) -> RemoteRun:
    given = {"parameters": {}, "pipeline_root": None, "caching": True, **given}
    return vertex.submit(PACKAGE, name="pictures", **given)


def scheduled(vertex: Platform, name: str = "weekly", **given) -> Schedule:
    given = {"parameters": {}, "pipeline_root": None, **given}
    return vertex.create_schedule(PACKAGE, name=name, cron=MONDAYS, **given)


def as_json(job) -> dict:
    return json.loads(sdk.PipelineJob.to_json(job))


def compiled() -> dict:
    return json.loads(PACKAGE.read_text())


class TestSubmit:
    def test_a_run_is_the_package_with_what_is_given(self, api, vertex):
        run = submitted(
            vertex, parameters={"tau": 0.5, "max_trials": 3, "span_pattern": "span-7"}, pipeline_root="gs://b/root"
        )
        assert re.fullmatch(r"pictures-\d{14}-[0-9a-f]{4}", run.id)
        assert run.link == (
            f"https://console.cloud.google.com/vertex-ai/locations/{REGION}/pipelines/runs/{run.id}?project={PROJECT}"
        )
        (job,) = api.jobs.values()
        assert job.name == f"{PARENT}/pipelineJobs/{run.id}"
        assert job.display_name == "pictures"
        assert job.runtime_config.gcs_output_directory == "gs://b/root"
        assert dict(job.runtime_config.parameter_values) == {"tau": 0.5, "max_trials": 3, "span_pattern": "span-7"}
        assert job.service_account == ""
        assert as_json(job)["pipelineSpec"] == compiled()["pipelineSpec"]
        assert dict(job.labels) == compiled()["labels"]

    def test_the_package_says_what_is_not_given(self, api, vertex):
        submitted(vertex)
        (job,) = api.jobs.values()
        assert job.runtime_config.gcs_output_directory == compiled()["runtimeConfig"]["gcsOutputDirectory"]
        assert dict(job.runtime_config.parameter_values) == {}

    def test_without_caching_no_node_may_be_taken_from_the_cache(self, api, vertex):
        submitted(vertex, caching=False)
        (job,) = api.jobs.values()
        tasks = as_json(job)["pipelineSpec"]["root"]["dag"]["tasks"].values()
        assert [task["cachingOptions"] for task in tasks] == [{"enableCache": False}] * len(tasks)

    def test_nodes_act_for_the_service_account(self, api):
        submitted(connected(api, service_account="nodes@example.org"))
        (job,) = api.jobs.values()
        assert job.service_account == "nodes@example.org"

    def test_two_runs_of_a_second_have_two_ids(self, vertex):
        assert submitted(vertex).id != submitted(vertex).id

    @pytest.mark.parametrize(("name", "start"), [("Über 2 Bilder", "ber-2-bilder-"), ("2", "run-2-"), ("猫", "run-")])
    def test_ids_are_such_as_vertex_takes(self, vertex, name, start):
        run = vertex.submit(PACKAGE, name=name, parameters={}, pipeline_root=None, caching=True)
        assert run.id.startswith(start)
        assert re.fullmatch(r"[a-z][-a-z0-9]{0,127}", run.id)

    def test_an_unknown_parameter_is_refused(self, vertex):
        with pytest.raises(CompressorError, match="refuses package .*vertex.json.* parameters tua are not the pipel"):
            submitted(vertex, parameters={"tua": 0.5})

    @pytest.mark.parametrize("text", ["{}", "[]", "pipelineSpec: {}", '{"pipelineSpec": {}}'])
    def test_another_file_is_refused(self, vertex, tmp_path, text):
        file = tmp_path / "package.json"
        file.write_text(text)
        with pytest.raises(CompressorError, match="package.json' is not a package for Vertex AI: create one with"):
            vertex.submit(file, name="a", parameters={}, pipeline_root=None, caching=True)


class TestProgress:
    @pytest.fixture
    def look(self, api, vertex):
        """Gives the only run a state and looks at it."""

        def look(state: str, tasks: dict[str, str | tuple[str, str]], error: str = "") -> Progress:
            run = submitted(vertex)
            (job,) = api.jobs.values()
            job.state = PIPELINE_STATE[f"PIPELINE_STATE_{state}"]
            job.error = {"message": error}
            details = [{"task_id": 1, "task_name": run.id, "state": TASK_STATE.RUNNING}]
            for task, told in tasks.items():
                told, reason = told if isinstance(told, tuple) else (told, "")
                details.append(
                    {"task_name": task, "parent_task_id": 1, "state": TASK_STATE[told], "error": {"message": reason}}
                )
            job.job_detail = {"task_details": details}
            return vertex.progress(run.id)

        return look

    def test_nodes_have_their_states(self, look):
        assert look(
            "RUNNING",
            {"ImageExampleGen": "SKIPPED", "StatisticsGen": "SUCCEEDED", "Transform": "RUNNING", "Pusher": "PENDING"},
        ) == Progress(
            State.RUNNING,
            {
                "ImageExampleGen": State.CACHED,
                "StatisticsGen": State.DONE,
                "Transform": State.RUNNING,
                "Pusher": State.WAITING,
            },
        )

    @pytest.mark.parametrize(
        ("told", "state"),
        [
            ("UNSPECIFIED", State.WAITING), ("QUEUED", State.WAITING), ("PENDING", State.WAITING),
            ("PAUSED", State.WAITING), ("RUNNING", State.RUNNING), ("CANCELLING", State.RUNNING),
            ("SUCCEEDED", State.DONE), ("FAILED", State.FAILED), ("CANCELLED", State.STOPPED),
        ],
    )  # fmt: skip
    def test_runs_have_states(self, look, told, state):
        assert look(told, {}) == Progress(state, {})

    @pytest.mark.parametrize(
        ("told", "state"),
        [
            ("CANCEL_PENDING", State.RUNNING), ("CANCELLING", State.RUNNING), ("CANCELLED", State.STOPPED),
            ("NOT_TRIGGERED", State.LEFT_OUT), ("FAILED", State.FAILED), ("STATE_UNSPECIFIED", State.WAITING),
        ],
    )  # fmt: skip
    def test_nodes_have_rarer_states(self, look, told, state):
        assert look("RUNNING", {"retrain": told}).nodes == {"retrain": state}

    def test_every_state_of_vertex_has_one(self):
        told = {state.name.removeprefix("PIPELINE_STATE_") for state in [*PIPELINE_STATE, *TASK_STATE]}
        assert told - module._STATES.keys() == {"UNSPECIFIED", "STATE_UNSPECIFIED"}

    def test_the_reason_is_the_failed_nodes(self, look):
        progress = look("FAILED", {"retrain": ("FAILED", "status of 1"), "Pusher": "NOT_TRIGGERED"}, "the DAG failed")
        assert progress.state is State.FAILED
        assert progress.reason == "retrain: status of 1"

    def test_or_else_the_jobs(self, look):
        assert look("FAILED", {"retrain": "FAILED"}, "the DAG failed").reason == "the DAG failed"

    @pytest.mark.parametrize("run_id", ["nightly", "", "a/b", "Ü ?"])
    def test_a_run_that_is_unknown(self, vertex, run_id):
        told = f"does not know run {run_id!r} in project 'my-project', region 'europe-west4': check --project"
        with pytest.raises(GoneError, match=re.escape(told)):
            vertex.progress(run_id)

    def test_a_moment_without_answer_is_got_over(self, api, vertex, monkeypatch):
        run = submitted(vertex)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        api.answers_with = [503, 502, 500]
        assert vertex.progress(run.id).state is State.WAITING

    def test_a_long_time_is_told(self, api, vertex, monkeypatch):
        run = submitted(vertex)
        monkeypatch.setattr(module, "_BRIDGED", 0.05)
        api.answers_with = [503] * 10
        with pytest.raises(CompressorError, match=f"{api.url} responds with 503: try again later"):
            vertex.progress(run.id)


class TestSchedules:
    def test_a_schedule_is_made(self, api):
        vertex = connected(api, service_account="nodes@example.org")
        made = scheduled(vertex, parameters={"max_trials": 3}, pipeline_root="gs://b/root")
        assert made == Schedule("weekly", "1", MONDAYS, paused=False, next_run=NEXT_RUN)
        (schedule,) = api.schedules.values()
        assert schedule.cron == "TZ=Europe/Berlin 0 3 * * 1"
        job = schedule.create_pipeline_job_request.pipeline_job
        assert job.runtime_config.gcs_output_directory == "gs://b/root"
        assert dict(job.runtime_config.parameter_values) == {"max_trials": 3}
        assert job.service_account == "nodes@example.org"
        assert as_json(job)["pipelineSpec"] == compiled()["pipelineSpec"]

    def test_one_run_at_a_time(self, api, vertex):
        scheduled(vertex)
        (schedule,) = api.schedules.values()
        assert schedule.max_concurrent_run_count == 1
        assert schedule.max_concurrent_active_run_count == 1
        assert not schedule.allow_queueing

    def test_all_are_listed_the_newest_first(self, vertex):
        names = ["a", "b", "c", "d", "e"]
        for name in names:
            scheduled(vertex, name)
        assert [schedule.name for schedule in vertex.schedules()] == names[::-1]

    def test_those_of_notebooks_are_not(self, api, vertex):
        scheduled(vertex)
        api.add(sdk.Schedule(display_name="nb", cron="0 0 * * *", create_notebook_execution_job_request={"parent": ""}))
        assert [schedule.name for schedule in vertex.schedules()] == ["weekly"]

    def test_a_name_is_taken_once(self, vertex):
        scheduled(vertex)
        with pytest.raises(CompressorError, match="schedule 'weekly' already exists: delete it first"):
            scheduled(vertex)

    def test_the_name_of_one_that_is_over_is_free(self, api, vertex):
        scheduled(vertex)
        (old,) = api.schedules.values()
        old.state = sdk.Schedule.State.COMPLETED
        assert scheduled(vertex).id == "2"
        new, over = vertex.schedules()
        assert (new.paused, new.next_run) == (False, NEXT_RUN)
        assert (over.paused, over.next_run) == (True, None)
        vertex.pause("weekly")
        assert [one.state.name for one in api.schedules.values()] == ["COMPLETED", "PAUSED"]

    def test_pause_and_resume(self, api, vertex):
        scheduled(vertex)
        vertex.pause("weekly")
        (schedule,) = vertex.schedules()
        assert schedule == Schedule("weekly", "1", MONDAYS, paused=True, next_run=None)
        (told,) = api.schedules.values()
        told.catch_up = True
        vertex.resume("weekly")
        (schedule,) = vertex.schedules()
        assert not schedule.paused
        assert not told.catch_up

    def test_what_vertex_refuses_is_told(self, vertex):
        scheduled(vertex)
        with pytest.raises(CompressorError, match="refuses schedule 'weekly' in .*: schedule is not PAUSED$"):
            vertex.resume("weekly")

    @pytest.mark.parametrize("listings", [0, 2])
    def test_delete_returns_when_the_name_is_free(self, api, vertex, monkeypatch, listings):
        scheduled(vertex)
        slept = []
        monkeypatch.setattr(module.time, "sleep", slept.append)
        api.deleted_after = listings
        vertex.delete("weekly")
        assert api.schedules == {}
        assert len(slept) == listings
        scheduled(vertex)

    def test_delete_tells_if_it_does_not_happen(self, api, vertex, monkeypatch):
        scheduled(vertex)
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
        api.deleted_after = 1000
        with pytest.raises(CompressorError, match="schedule 'weekly' still exists after 30 s"):
            vertex.delete("weekly")

    def test_run_now_starts_what_the_schedule_starts(self, api, vertex):
        scheduled(vertex, parameters={"max_trials": 3}, pipeline_root="gs://b/root")
        run = vertex.run_now("weekly")
        assert run.id.startswith("weekly-")
        (job,) = api.jobs.values()
        assert job.name.endswith(run.id)
        (schedule,) = api.schedules.values()
        planned = schedule.create_pipeline_job_request.pipeline_job
        assert job.runtime_config == planned.runtime_config
        assert as_json(job)["pipelineSpec"] == as_json(planned)["pipelineSpec"]

    @pytest.mark.parametrize("method", ["pause", "resume", "delete", "run_now"])
    def test_unknown_names(self, vertex, method):
        scheduled(vertex)
        with pytest.raises(CompressorError, match="unknown schedule 'weakly'. Did you mean 'weekly'. Known: weekly."):
            getattr(vertex, method)("weakly")


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "told"),
        [
            (
                401,
                "Google Cloud requires .*: log in with gcloud auth application-default login, or set .* to a key file",
            ),
            (403, "project 'my-project', .*: check --project, .* roles/aiplatform.user. .* says: reasons of its own"),
            (404, "does not know package .* in project 'my-project', region 'europe-west4': check --project and --reg"),
            (409, "refuses package .* in project 'my-project', region 'europe-west4': reasons of its own"),
            (429, "a quota is exhausted in project 'my-project', .*: try again later, .*; nothing is lost"),
            (500, "http://127.0.0.1:[0-9]+ responds with 500: try again later. It says: reasons of its own"),
            (503, "http://127.0.0.1:[0-9]+ responds with 503: try again later. It says: reasons of its own"),
        ],
    )
    def test_statuses(self, api, vertex, status, told):
        api.answers_with = [status]
        with pytest.raises(CompressorError, match=told) as raised:
            submitted(vertex)
        assert "POST" not in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_another_hosts_page_is_not_shown(self, api, vertex):
        api.answers_with, api.page = [404], "<!DOCTYPE html><html>Error 404</html>"
        with pytest.raises(CompressorError, match="does not know this in project") as raised:
            vertex.schedules()
        assert "html" not in str(raised.value)

    def test_no_connection(self):
        api = VertexApi(PROJECT, REGION)
        vertex = connected(api)
        api.close()
        with pytest.raises(CompressorError, match=f"{api.url} cannot be reached: check the network and --region eur"):
            vertex.schedules()

    def test_no_answer_in_time(self, vertex, monkeypatch):
        def late(*args, **given):
            assert given["timeout"] == module._TIMEOUT
            raise requests.ReadTimeout("read timed out")

        monkeypatch.setattr(requests.Session, "request", late)
        with pytest.raises(CompressorError, match="cannot be reached"):
            vertex.schedules()

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (auth.RefreshError("token ya29.secret has expired"), "log in with gcloud auth application-default login"),
            (auth.TransportError("https://oauth2.googleapis.com"), "Google's log-in cannot be reached: check the netw"),
        ],
    )
    def test_credentials_that_cannot_be_renewed(self, vertex, monkeypatch, error, told):
        def refuse(*args):
            raise error

        monkeypatch.setattr(AnonymousCredentials, "before_request", refuse)
        with pytest.raises(CompressorError, match=told) as raised:
            vertex.schedules()
        assert "secret" not in str(raised.value)

    def test_no_credentials(self, monkeypatch):
        def none(*args, **given):
            raise auth.DefaultCredentialsError("none")

        monkeypatch.setattr(google.auth, "default", none)
        with pytest.raises(CompressorError, match="log in with gcloud auth application-default login"):
            Vertex(PROJECT, REGION)

    @pytest.mark.parametrize("region", ["", "Europe", "us", "global", "europe-west4/x", "evil.org/europe-west4"])
    def test_what_is_no_region(self, region):
        with pytest.raises(CompressorError, match="region '.*' is not a valid region: give one such as europe-west4"):
            Vertex(PROJECT, region, credentials=AnonymousCredentials())

    @pytest.mark.parametrize("project", ["", "my/project", "My Project"])
    def test_what_is_no_project(self, project):
        with pytest.raises(CompressorError, match="project '.*' is not a valid project ID: give one such as my-proj"):
            Vertex(project, REGION, credentials=AnonymousCredentials())


def test_each_region_has_its_host():
    vertex = Vertex(PROJECT, "us-central1", credentials=AnonymousCredentials())
    for client in (vertex._jobs, vertex._schedules):
        assert client.transport._host == "https://us-central1-aiplatform.googleapis.com"


def test_the_client_is_loaded_when_it_is_needed():
    loaded = (
        "import sys, pipelines.platforms.vertex; print({'google.cloud.aiplatform_v1', 'google.auth'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout.strip() == "set()"
