from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from kubeflow_api import KubeflowApi
from proxies import Proxy, Silent, set_proxy

from compressor_lib.errors import CompressorError
from pipelines.remote.cron import Cron
from pipelines.remote.kubeflow import COOKIES, TOKEN, Kubeflow
from pipelines.remote.platform import RemoteRun, State

GOLDEN = Path(__file__).parents[1] / "kubeflow" / "golden" / "kubeflow.yaml"
MONDAYS = Cron("0 3 * * 1", "Europe/Berlin")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for name in (TOKEN, COOKIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    api = KubeflowApi()
    yield api
    api.close()


@pytest.fixture
def kubeflow(api) -> Kubeflow:
    return Kubeflow(api.url)


@pytest.fixture
def package(tmp_path) -> Path:
    return Path(shutil.copy(GOLDEN, tmp_path / "package.yaml"))


def submitted(kubeflow: Kubeflow, package: Path, **given) -> RemoteRun:
    given = {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root", "caching": True, **given}
    return kubeflow.submit(package, name="pictures", **given)


def scheduled(kubeflow: Kubeflow, package: Path, name: str = "weekly"):
    return kubeflow.create_schedule(
        package, name=name, cron=MONDAYS, parameters={"max_trials": 3}, pipeline_root="gs://bucket/root"
    )


class TestSubmit:
    def test_a_run_is_started_of_the_uploaded_package(self, api, kubeflow, package, capsys):
        run = submitted(kubeflow, package)
        assert run == RemoteRun("run-1", f"{api.url}/#/runs/details/run-1")
        body = api.runs["run-1"]
        assert body["runtime_config"] == {"parameters": {"tau": 0.5}, "pipeline_root": "gs://bucket/root"}
        (pipeline,) = api.pipelines.values()
        assert pipeline["described"]["display_name"] == "pictures"
        version = pipeline["versions"][body["pipeline_version_reference"]["pipeline_version_id"]]
        assert version["package"] == GOLDEN.read_text()
        assert capsys.readouterr().out == ""

    def test_the_same_package_is_uploaded_once(self, api, kubeflow, package):
        runs = [submitted(kubeflow, package).id for _ in range(2)]
        package.write_text(GOLDEN.read_text().replace("lower_bound", "lower_bound"))
        first, second = (api.runs[run]["pipeline_version_reference"] for run in runs)
        assert first == second
        package.write_text(GOLDEN.read_text() + "\n")
        third = api.runs[submitted(kubeflow, package).id]["pipeline_version_reference"]
        assert third["pipeline_id"] == first["pipeline_id"]
        assert third["pipeline_version_id"] != first["pipeline_version_id"]
        assert len(api.experiments) == 1

    def test_a_run_may_use_no_cache(self, api, kubeflow, package):
        run = submitted(kubeflow, package, caching=False)
        tasks = api.runs[run.id]["pipeline_spec"]["root"]["dag"]["tasks"]
        assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())

    def test_what_the_backend_does_not_take_is_told(self, kubeflow, package):
        with pytest.raises(CompressorError, match="answers 400 to package .*taus are not the pipeline's"):
            submitted(kubeflow, package, parameters={"taus": 1})
        package.write_text("schemaVersion: 2.0.0\npipelineInfo: {name: a}\n")
        with pytest.raises(CompressorError, match="answers 400 to package .*only supports schema version 2.1.0"):
            submitted(kubeflow, package)


class TestProgress:
    def test_nodes_are_told_by_their_names(self, api, kubeflow, package):
        run = submitted(kubeflow, package)
        api.tasks = [
            {"display_name": name, "state": state}
            for name, state in (
                ("root", "RUNNING"), ("root-driver", "SUCCEEDED"), ("ImageExampleGen", "SUCCEEDED"),
                ("ImageExampleGen-driver", "SUCCEEDED"), ("executor", "SUCCEEDED"), ("reference", "SKIPPED"),
                ("reference-driver", "SUCCEEDED"), ("retrain", "RUNNING"), ("retrain-driver", "SUCCEEDED"),
            )
        ]  # fmt: skip
        progress = kubeflow.progress(run.id)
        assert progress.state is State.RUNNING
        assert progress.nodes == {
            "ImageExampleGen": State.DONE, "reference": State.CACHED, "retrain": State.RUNNING,
        }  # fmt: skip

    def test_a_failed_run_says_why(self, api, kubeflow, package):
        run = submitted(kubeflow, package)
        api.state, api.error = "FAILED", {"code": 2, "message": "pod was evicted"}
        progress = kubeflow.progress(run.id)
        assert (progress.state, progress.reason) == (State.FAILED, "pod was evicted")

    def test_an_unknown_run_is_told(self, kubeflow):
        with pytest.raises(CompressorError, match="does not know run run-7"):
            kubeflow.progress("run-7")


class TestSchedules:
    def test_one_is_made_of_the_uploaded_package(self, api, kubeflow, package):
        schedule = scheduled(kubeflow, package)
        (body,) = api.recurring.values()
        assert body["trigger"]["cron_schedule"]["cron"] == "TZ=Europe/Berlin 0 0 3 * * 1"
        assert (body["max_concurrency"], body["no_catchup"]) == ("1", True) or body["max_concurrency"] == 1
        assert body["runtime_config"]["parameters"] == {"max_trials": 3}
        assert body["pipeline_version_reference"]["pipeline_version_id"]
        assert schedule.next_run == MONDAYS.next_runs(1)[0]
        assert kubeflow.schedules() == [schedule]

    def test_names_are_new(self, kubeflow, package):
        scheduled(kubeflow, package)
        with pytest.raises(CompressorError, match="schedule 'weekly' is there already"):
            scheduled(kubeflow, package)

    def test_pause_resume_delete(self, kubeflow, package):
        scheduled(kubeflow, package)
        kubeflow.pause("weekly")
        (paused,) = kubeflow.schedules()
        assert (paused.paused, paused.next_run) == (True, None)
        kubeflow.resume("weekly")
        assert not kubeflow.schedules()[0].paused
        kubeflow.delete("weekly")
        assert kubeflow.schedules() == []

    def test_a_run_out_of_turn_is_like_the_others(self, api, kubeflow, package):
        scheduled(kubeflow, package)
        run = kubeflow.run_now("weekly")
        (recurring,) = api.recurring.values()
        for key in ("pipeline_version_reference", "runtime_config", "experiment_id"):
            assert api.runs[run.id][key] == recurring[key]

    @pytest.mark.parametrize("action", ["pause", "resume", "delete", "run_now"])
    def test_an_unknown_one_is_told(self, kubeflow, package, action):
        scheduled(kubeflow, package)
        with pytest.raises(CompressorError, match="unknown schedule 'weekl'. Did you mean 'weekly'"):
            getattr(kubeflow, action)("weekl")


class TestAccess:
    def test_the_token_is_the_environments(self, api, package, monkeypatch):
        api.token = "secret"
        with pytest.raises(CompressorError, match=r"without a valid token: renew the one in \$KFP_TOKEN"):
            Kubeflow(api.url)
        monkeypatch.setenv(TOKEN, "secret")
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (401, "renew the one in"),
            (403, "you may not do this in this namespace"),
            (429, "asked too often"),
            (500, "answers 500 to package .*as it was told"),
        ],
    )
    def test_refusals_are_told(self, api, kubeflow, package, status, message):
        api.answers_with = status
        with pytest.raises(CompressorError, match=message):
            submitted(kubeflow, package)

    def test_a_host_that_is_not_there(self, api):
        api.close()
        with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
            Kubeflow(api.url)

    @pytest.mark.parametrize(
        ("host", "advice"),
        [
            ("kubeflow", "begin with https"),
            ("localhost:8888", "begin with"),
            ("http://a..b", "check"),
            ("http://", "check"),
        ],
    )
    def test_a_host_that_is_no_url(self, host, advice):
        with pytest.raises(CompressorError, match=f"host '.*' is no URL: {advice}"):
            Kubeflow(host)

    def test_a_token_with_a_line_break(self, api, monkeypatch):
        monkeypatch.setenv(TOKEN, "secret\n")
        with pytest.raises(CompressorError, match=r"^\$KFP_TOKEN or \$KFP_COOKIES holds a line break"):
            Kubeflow(api.url)

    def test_a_page_to_log_in_is_no_api(self):
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(CompressorError, match="answers with a web page, perhaps to log in"):
            Kubeflow(f"http://127.0.0.1:{server.server_port}")
        server.server_close()


class TestProxies:
    HOST = "http://kubeflow.example.org/pipeline"

    @pytest.fixture
    def proxy(self, api, monkeypatch) -> Iterator[Proxy]:
        """One that takes whatever it is asked for to the API."""

        class Prefixed(Proxy):
            def relayed(self, method, url, headers, body):
                return super().relayed(method, url.replace("/pipeline/", "/"), headers, body)

        proxy = Prefixed(behind=api.url)
        set_proxy(monkeypatch, proxy.url)
        yield proxy
        proxy.close()

    def test_all_calls_go_through_it(self, api, proxy, package):
        submitted(Kubeflow(self.HOST), package)
        assert len(api.runs) == 1
        assert len(proxy.asked) > 4
        assert all(f" {self.HOST}/apis/v2beta1/" in asked for asked in proxy.asked)

    def test_it_may_want_a_password(self, proxy, package, monkeypatch):
        proxy.wants = "Basic bWU6cGFAc3M="
        set_proxy(monkeypatch, proxy.url.replace("//", "//me:pa%40ss@"))
        assert submitted(Kubeflow(self.HOST), package).id == "run-1"

    def test_no_call_to_this_machine_goes_through_one(self, api, package, monkeypatch):
        silent = Silent()
        set_proxy(monkeypatch, silent.url)
        assert submitted(Kubeflow(api.url), package).id == "run-1"
        silent.close()

    def test_no_proxy_counts_for_all_calls(self, proxy, monkeypatch):
        monkeypatch.setenv("no_proxy", "kubeflow.example.org")
        with pytest.raises(CompressorError, match="check --host and the network"):
            Kubeflow(self.HOST)
        assert proxy.asked == []

    @pytest.mark.parametrize("status", [403, 502, 407])
    def test_its_refusal_is_not_taken_for_kubeflow_s(self, proxy, status):
        proxy.status = status
        with pytest.raises(CompressorError) as refused:
            Kubeflow(self.HOST)
        assert str(refused.value) == (
            f"the proxy {proxy.url} answers {status} in place of {self.HOST}: check the proxy, or name "
            "kubeflow.example.org in no_proxy if it can be reached without. It says: <html>Blocked by policy</html>"
        )

    def test_nor_is_a_later_one(self, proxy):
        kubeflow = Kubeflow(self.HOST)
        proxy.status = 403
        with pytest.raises(CompressorError, match=f"^the proxy {proxy.url} answers 403 in place of"):
            kubeflow.schedules()

    def test_kubeflow_s_own_refusal_is_not_taken_for_its(self, api, proxy):
        kubeflow = Kubeflow(self.HOST)
        api.answers_with = 403
        with pytest.raises(CompressorError, match=f"^{self.HOST} refuses: you may not do this"):
            kubeflow.schedules()

    def test_a_tunnel_that_is_refused_is_told(self, proxy):
        proxy.status = 403
        with pytest.raises(
            CompressorError, match=rf"^https://k\.example\.org cannot be reached through the proxy {proxy.url} \(.*403"
        ):
            Kubeflow("https://k.example.org")

    @pytest.mark.parametrize("host", ["http://k.example.org", "https://k.example.org"])
    def test_one_that_hangs_is_named_in_time(self, monkeypatch, host):
        silent = Silent()
        set_proxy(monkeypatch, silent.url)
        monkeypatch.setattr("pipelines.remote.kubeflow._PATIENCE", 0.5)
        with pytest.raises(CompressorError, match=rf"^{host} cannot be reached through the proxy {silent.url} \("):
            Kubeflow(host)
        silent.close()
