from __future__ import annotations

import pytest
from kubeflow_api import Failure
from kubeflow_runs import submitted
from kubeflow_workflow import workflow

from compressor_lib.errors import CompressorError
from pipelines.platforms.base import GoneError, State
from pipelines.platforms.kubeflow_progress import nodes_of


@pytest.fixture
def run(kubeflow, package) -> str:
    return submitted(kubeflow, package).id


class TestNodes:
    @pytest.mark.parametrize(
        ("how", "state"),
        [
            ("driving", State.RUNNING),
            ("running", State.RUNNING),
            ("done", State.DONE),
            ("cached", State.CACHED),
            ("skipped", State.LEFT_OUT),
            ("omitted", State.LEFT_OUT),
            ("failed", State.FAILED),
            ("driver failed", State.FAILED),
        ],
    )
    def test_each_state_is_told_from_the_others(self, api, kubeflow, run, how, state):
        api.nodes = {"ImageExampleGen": "done", "retrain": how}
        assert kubeflow.progress(run).nodes == {"ImageExampleGen": State.DONE, "retrain": state}

    @pytest.mark.parametrize(
        ("how", "state"),
        [
            ("running", State.RUNNING),
            ("done", State.DONE),
            ("skipped", State.LEFT_OUT),
            ("omitted", State.LEFT_OUT),
            ("failed", State.FAILED),
            ("driver failed", State.FAILED),
        ],
    )
    def test_a_server_without_the_first_api_knows_most_of_them(self, api, kubeflow, run, how, state):
        api.serves_v1 = False
        api.nodes = {"ImageExampleGen": "done", "retrain": how}
        api.states = ["RUNNING" if how == "running" else "SUCCEEDED"]
        assert kubeflow.progress(run).nodes == {"ImageExampleGen": State.DONE, "retrain": state}

    def test_there_a_node_without_a_state_waits_while_the_run_goes_on(self, api, kubeflow, run):
        api.serves_v1, api.nodes = False, {"retrain": "omitted"}
        assert kubeflow.progress(run).nodes == {"retrain": State.WAITING}

    def test_a_run_that_has_not_begun_has_none(self, kubeflow, run):
        progress = kubeflow.progress(run)
        assert (progress.state, progress.nodes) == (State.RUNNING, {})


class TestReasons:
    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("failed", "retrain: main: Error (exit code 1)"),
            ("driver failed", "retrain: its driver failed: main: Error (exit code 1)"),
        ],
    )
    def test_a_failed_run_says_which_node_and_why(self, api, kubeflow, run, how, reason):
        api.states, api.nodes = ["FAILED"], {"Transform": "done", "retrain": how, "Pusher": "omitted"}
        progress = kubeflow.progress(run)
        assert (progress.state, progress.reason) == (State.FAILED, reason)

    def test_all_that_failed_are_named(self, api, kubeflow, run):
        api.states, api.nodes = ["FAILED"], {"reference": "failed", "retrain": "failed"}
        reason = kubeflow.progress(run).reason
        assert {part.split(":")[0] for part in reason.split("; ")} == {"reference", "retrain"}

    def test_of_a_node_that_was_tried_again_the_last_one_counts(self):
        made = workflow({"retrain": "failed"})
        nodes = made["status"]["nodes"]
        (executor,) = (node for node in nodes.values() if node["displayName"] == "executor")
        executor |= {"type": "Retry", "message": "No more retries left"}
        for number, message in ((1, "OOMKilled (exit code 137)"), (0, "main: Error (exit code 1)")):
            name = f"{executor['name']}({number})"
            nodes[name] = {
                "name": name, "displayName": f"executor({number})", "type": "Pod", "phase": "Failed",
                "message": message, "finishedAt": f"2026-01-01T00:0{number}:00Z",
            }  # fmt: skip
        assert nodes_of(made)[1] == {"retrain": "OOMKilled (exit code 137)"}

    def test_a_node_whose_name_begins_like_another_s_is_not_taken_for_its_part(self):
        states, reasons = nodes_of(workflow({"retrain": "done", "retrain-again": "cached", "retrain2": "failed"}))
        assert states == {"retrain": State.DONE, "retrain-again": State.CACHED, "retrain2": State.FAILED}
        assert list(reasons) == ["retrain2"]


class TestCancelled:
    def test_a_run_that_was_seen_to_be_cancelled_is_stopped(self, api, kubeflow, run):
        api.serves_v1, api.states = False, ["CANCELING", "FAILED"]
        assert kubeflow.progress(run).state is State.RUNNING
        progress = kubeflow.progress(run)
        assert (progress.state, progress.reason) == (State.STOPPED, "it was cancelled")

    def test_so_is_one_that_was_not_watched_meanwhile(self, api, kubeflow, run):
        api.states, api.cancelled = ["FAILED"], True
        api.nodes = {"Transform": "done", "retrain": "cancelled", "Pusher": "omitted"}
        progress = kubeflow.progress(run)
        assert (progress.state, progress.reason) == (State.STOPPED, "it was cancelled")
        assert progress.nodes == {"Transform": State.DONE, "retrain": State.STOPPED, "Pusher": State.LEFT_OUT}

    def test_a_node_that_had_failed_before_says_so(self, api, kubeflow, run):
        api.states, api.cancelled = ["FAILED"], True
        api.nodes = {"reference": "failed", "retrain": "cancelled"}
        progress = kubeflow.progress(run)
        assert progress.nodes == {"reference": State.FAILED, "retrain": State.STOPPED}
        assert progress.reason == "reference: main: Error (exit code 1)"

    def test_one_that_was_done_already_is_done(self, api, kubeflow, run):
        api.states, api.cancelled, api.nodes = ["SUCCEEDED"], True, {"retrain": "done"}
        assert kubeflow.progress(run).state is State.DONE


class TestRefusals:
    def test_an_unknown_run_is_told(self, kubeflow):
        with pytest.raises(GoneError, match="does not know run run-7"):
            kubeflow.progress("run-7")

    @pytest.mark.parametrize("status", [401, 429, 503])
    def test_a_refusal_for_the_moment_is_not_taken_for_another_api(self, api, kubeflow, run, monkeypatch, status):
        def refuse(path):
            raise Failure(status, "as it was told")

        api.nodes = {"retrain": "cached"}
        with monkeypatch.context() as refusing:
            refusing.setattr(api, "answer_v1", refuse)
            with pytest.raises(CompressorError):
                kubeflow.progress(run)
        assert kubeflow.progress(run).nodes == {"retrain": State.CACHED}
