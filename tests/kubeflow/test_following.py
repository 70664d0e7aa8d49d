"""How far a run is, by Kubeflow's own API server, to which its Workflow is reported as the persistence agent does."""

from __future__ import annotations

import pytest
from kubeflow_rig.access import USER
from kubeflow_rig.status import FAILED, RUNNING, SUCCEEDED
from kubeflow_rig.waiting import until
from kubeflow_runs import submitted
from kubeflow_workflow import workflow

from pipelines.cli import platforms
from pipelines.platforms import kfp_hooks, kubeflow_progress
from pipelines.platforms.base import Progress, State
from pipelines.platforms.kubeflow import Kubeflow

pytestmark = pytest.mark.kubeflow

RUNS = "/apis/v2beta1/runs"
HOW = {
    "running": State.RUNNING,
    "done": State.DONE,
    "cached": State.CACHED,
    "skipped": State.LEFT_OUT,
    "omitted": State.LEFT_OUT,
    "failed": State.FAILED,
    "driver failed": State.FAILED,
}
WHY = {"failed": "main: Error (exit code 1)", "driver failed": "its driver failed: main: Error (exit code 1)"}


@pytest.fixture
def kubeflow(server, stored) -> Kubeflow:
    return Kubeflow(server.url, namespace=server.namespace)


@pytest.fixture
def run(kubeflow, package) -> str:
    return submitted(kubeflow, package).id


@pytest.fixture
def report(server):
    """Reports a run: its phase, and how each of its nodes is."""

    def report(run_id: str, phase: str, **nodes: str) -> None:
        made = workflow(nodes, name=server.workflows[run_id]["metadata"]["name"])
        times = {"startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:04:06Z"}
        for node in made["status"]["nodes"].values():
            node |= times
        server.report(run_id, {**made["status"], "phase": phase, **times})

    return report


@pytest.fixture
def terminate(server):
    return lambda run_id: server.ask("POST", f"{RUNS}/{run_id}:terminate", user=USER)


class TestNodes:
    def test_a_run_that_has_not_begun_has_none(self, kubeflow, run):
        progress = kubeflow.progress(run)
        assert (progress.state, progress.nodes) == (State.WAITING, {})

    @pytest.mark.parametrize("how", HOW)
    def test_each_state_is_told_from_the_others(self, kubeflow, run, report, how):
        report(run, RUNNING, ImageExampleGen="done", retrain=how)
        progress = kubeflow.progress(run)
        assert progress.state is State.RUNNING
        assert progress.nodes == {"ImageExampleGen": State.DONE, "retrain": HOW[how]}

    @pytest.mark.parametrize("how", sorted({*HOW} - {"running"}))
    def test_the_task_details_know_most_of_them(self, kubeflow, run, report, how, monkeypatch):
        """They are what remains where the first version of the API is no more."""
        report(run, FAILED, ImageExampleGen="done", retrain=how)
        monkeypatch.setattr(kubeflow_progress, "_workflow", lambda *_: None)
        expected = State.DONE if how == "cached" else HOW[how]
        assert kubeflow.progress(run).nodes == {"ImageExampleGen": State.DONE, "retrain": expected}

    def test_they_have_no_reasons(self, server, run, report):
        report(run, FAILED, retrain="failed")
        found = server.ask("GET", f"{RUNS}/{run}", user=USER)
        assert not found.get("error")
        assert not any(one.get("error") for one in found["run_details"]["task_details"])


class TestReasons:
    @pytest.mark.parametrize("how", WHY)
    def test_a_failed_run_says_which_node_and_why(self, kubeflow, run, report, how):
        report(run, FAILED, Transform="done", retrain=how, Pusher="omitted")
        progress = kubeflow.progress(run)
        assert (progress.state, progress.reason) == (State.FAILED, f"retrain: {WHY[how]}")

    def test_a_run_that_was_cancelled_is_stopped(self, kubeflow, run, report, terminate):
        """The server says ``CANCELING``, and in the end no more than ``FAILED``."""
        report(run, RUNNING, Transform="done", retrain="running")
        terminate(run)
        assert kubeflow.progress(run).state is State.RUNNING
        report(run, FAILED, Transform="done", retrain="cancelled", Pusher="omitted")
        progress = kubeflow.progress(run)
        assert (progress.state, progress.reason) == (State.STOPPED, "it was cancelled")
        assert progress.nodes == {"Transform": State.DONE, "retrain": State.STOPPED, "Pusher": State.LEFT_OUT}

    def test_so_is_one_that_was_not_watched_meanwhile(self, server, kubeflow, run, report, terminate):
        terminate(run)
        report(run, FAILED, retrain="cancelled")
        assert Kubeflow(server.url, namespace=server.namespace).progress(run).state is State.STOPPED


class TestWait:
    @pytest.fixture
    def wait(self, compressor, package, meanwhile):
        def wait(act):
            with meanwhile(act):
                return compressor("submit", package, "--any-version", "--wait")

        return wait

    def test_nodes_are_told_in_the_order_of_the_package_and_the_end_is_well(self, wait, report):
        nodes = {"retrain": "done", "Report": "skipped", "ImageExampleGen": "cached", "Transform": "done"}
        result = wait(lambda run_id: report(run_id, SUCCEEDED, **nodes))
        assert result.exit_code == 0
        assert [line[10:] for line in result.stdout.splitlines()[2:-1]] == [
            "ImageExampleGen        cached", "Transform              done", "retrain                done",
            "Report                 left out",
        ]  # fmt: skip
        assert result.stdout.endswith("\nthe run is done\n")

    def test_a_failed_run_ends_badly_with_its_reason(self, wait, report):
        result = wait(lambda run_id: report(run_id, FAILED, retrain="driver failed", Report="omitted"))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: retrain: {WHY['driver failed']}\nlogs: http")

    def test_a_cancelled_run_is_stopped(self, wait, report, terminate):
        def cancel(run_id: str) -> None:
            report(run_id, RUNNING, retrain="running")
            terminate(run_id)
            report(run_id, FAILED, retrain="cancelled")

        result = wait(cancel)
        assert result.exit_code == 1
        assert result.stdout.endswith("the run is stopped\n")
        assert result.stderr.startswith("error: it was cancelled\n")

    def test_a_run_that_is_deleted_meanwhile_ends_the_wait_at_once(self, server, wait, report, monkeypatch):
        monkeypatch.setattr(platforms, "STATUS_ATTEMPTS", 10000)

        def delete(run_id: str) -> None:
            report(run_id, RUNNING, retrain="running")
            server.ask("DELETE", f"{RUNS}/{run_id}", user=USER)

        result = wait(delete)
        assert result.exit_code == 4
        assert "was deleted" in result.stderr

    def test_a_server_that_hangs_for_a_while_is_got_over(self, server, wait, report, monkeypatch):
        look, answered = Kubeflow.progress, []

        def noted(kubeflow: Kubeflow, run_id: str) -> Progress:
            answered.append(False)
            progress = look(kubeflow, run_id)
            answered[-1] = True
            return progress

        def hang(run_id: str) -> None:
            until(lambda: any(answered))
            with monkeypatch.context() as hasty, server.stopped():
                hasty.setattr(kfp_hooks, "PATIENCE", 0.2)
                looks = len(answered)
                until(lambda: len(answered) > looks + 2)
            report(run_id, SUCCEEDED, retrain="done")

        monkeypatch.setattr(platforms, "STATUS_ATTEMPTS", 10000)
        monkeypatch.setattr(Kubeflow, "progress", noted)
        result = wait(hang)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("retrain                done\nthe run is done\n")
        assert answered.count(False) >= 2
