from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain, repeat
from pathlib import Path

import pytest
from certificate import make_certificate
from kubeflow_api import KubeflowApi
from kubeflow_runs import submitted
from proxies import Proxy, Silent, set_proxy

from compressor_lib.errors import CompressorError
from pipelines.platforms import kfp_hooks
from pipelines.platforms.base import State
from pipelines.platforms.kubeflow import Kubeflow
from pipelines.platforms.kubeflow_client import CERTIFICATES, COOKIES, TOKEN, message_of


class TestAccess:
    def test_the_token_is_the_environments(self, api, package, monkeypatch):
        api.token = "secret"
        with pytest.raises(CompressorError, match=r"requires a valid token: renew the token in \$KFP_TOKEN"):
            Kubeflow(api.url)
        monkeypatch.setenv(TOKEN, "secret")
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (400, "responds with 400 to package [^{]*: as it was told$"),
            (401, "renew the token in"),
            (403, "you lack permission in this namespace"),
            (429, "too many requests"),
            (500, "responds with 500 to package [^{]*: Internal error: as it was told$"),
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
            ("kubeflow", "it must begin with https"),
            ("localhost:8888", "it must begin with"),
            ("http://a..b", "check"),
            ("http://", "check"),
        ],
    )
    def test_a_host_that_is_no_url(self, host, advice):
        with pytest.raises(CompressorError, match=f"host '.*' is not a URL: {advice}"):
            Kubeflow(host)

    def test_a_token_with_a_line_break(self, api, monkeypatch):
        monkeypatch.setenv(TOKEN, "secret\n")
        with pytest.raises(CompressorError, match=r"^\$KFP_TOKEN or \$KFP_COOKIES contains a line break"):
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
        with pytest.raises(CompressorError, match="responds with a web page, perhaps to log in"):
            Kubeflow(f"http://127.0.0.1:{server.server_port}")
        server.server_close()


class TestLogIn:
    def test_what_the_client_has_stored_is_taken(self, api, package, stored):
        api.cookie = "authservice_session=secret"
        with pytest.raises(CompressorError, match="requires a valid token"):
            Kubeflow(api.url)
        stored.write_text(json.dumps({"namespace": "", "client_authentication_cookie": api.cookie}))
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    def test_cookies_are_the_environments(self, api, package, monkeypatch):
        api.cookie = "authservice_session=secret"
        monkeypatch.setenv(COOKIES, api.cookie)
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    def test_a_stored_header_is_taken(self, api, package, stored):
        api.token = "secret"
        header = {"client_authentication_header_name": "Authorization"}
        stored.write_text(
            json.dumps({"namespace": "", **header, "client_authentication_header_value": "Bearer secret"})
        )
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    def test_a_projected_token_is_read_anew_for_each_request(self, api, package, monkeypatch, tmp_path):
        token = tmp_path / "token"
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
        token.write_text("first")
        api.token = "first"
        kubeflow = Kubeflow(api.url)
        token.write_text("second")
        api.token = "second"
        assert submitted(kubeflow, package).id == "run-1"

    def test_the_client_id_of_a_proxy_of_google_s_gives_a_token(self, api, package, monkeypatch):
        api.token = "of my-client"
        monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "my-client")
        monkeypatch.setattr("kfp.client.auth.get_auth_token", lambda client, *_: (f"of {client}", False))
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    def test_which_is_renewed_before_it_runs_out(self, api, package, monkeypatch):
        tokens = chain(["first"], repeat("second"))
        monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "my-client")
        monkeypatch.setattr("kfp.client.auth.get_auth_token", lambda *_: (next(tokens), False))
        api.token = "first"
        kubeflow = Kubeflow(api.url)
        run = submitted(kubeflow, package)
        monkeypatch.setattr(kfp_hooks, "RENEWED_AFTER", -1.0)
        api.token = "second"
        assert kubeflow.progress(run.id).state is State.RUNNING

    def test_a_log_in_of_google_s_that_fails_is_told(self, api, monkeypatch):
        from google.auth.exceptions import DefaultCredentialsError

        def refuse(*_):
            raise DefaultCredentialsError("none")

        monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "my-client")
        monkeypatch.setattr("kfp.client.auth.get_auth_token", refuse)
        with pytest.raises(CompressorError, match="renew it with gcloud auth"):
            Kubeflow(api.url)


class TestCertificates:
    @pytest.fixture
    def certificate(self, tmp_path) -> Path:
        return make_certificate(tmp_path / "certificate.pem")

    @pytest.fixture
    def api(self, stored, certificate) -> Iterator[KubeflowApi]:
        api = KubeflowApi(certificate=certificate)
        yield api
        api.close()

    def test_one_of_an_own_authority_is_trusted_where_that_is_named(self, api, certificate, package, monkeypatch):
        monkeypatch.setenv(CERTIFICATES, str(certificate))
        assert submitted(Kubeflow(api.url), package).id == "run-1"

    def test_another_is_told(self, api):
        message = r"has a certificate that is not trusted: set \$SSL_CERT_FILE to a file"
        with pytest.raises(CompressorError, match=message):
            Kubeflow(api.url)

    def test_a_file_that_is_not_there_is_told(self, api, monkeypatch):
        monkeypatch.setenv(CERTIFICATES, "/none.pem")
        with pytest.raises(CompressorError, match=r"^\$SSL_CERT_FILE is '/none.pem', which is not a file"):
            Kubeflow(api.url)


class TestPatience:
    @pytest.fixture
    def stall(self, api, monkeypatch):
        """Lets requests of a path wait for ever, and the client lose patience soon."""

        def stall(path: str) -> None:
            api.stalled = {path}
            monkeypatch.setattr(kfp_hooks, "PATIENCE", 0.5)

        return stall

    @pytest.mark.parametrize("path", ["pipelines", "pipelines/upload_version", "experiments", "runs"])
    def test_no_request_of_a_run_hangs(self, kubeflow, package, stall, path):
        submitted(kubeflow, package)
        if path == "pipelines/upload_version":
            package.write_text(package.read_text() + "\n")
        stall(path)
        with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
            submitted(kubeflow, package)

    def test_looking_at_a_run_does_not_hang(self, kubeflow, package, stall):
        run = submitted(kubeflow, package)
        stall(f"runs/{run.id}")
        with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
            kubeflow.progress(run.id)

    def test_schedules_do_not_hang(self, kubeflow, stall):
        stall("recurringruns")
        with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
            kubeflow.schedules()

    def test_nor_does_the_first_question(self, api, stall):
        stall("healthz")
        with pytest.raises(CompressorError, match="cannot be reached: check --host and the network"):
            Kubeflow(api.url)


class TestMessages:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ('{"code": 3, "message": "a: b", "details": [{"@type": "x"}]}', "a: b"),
            ('{"code": 3, "message": "a: Invalid input error: b", "details": [{"@type": "x", "message": "b"}]}', "b"),
            (
                '{"code": 7, "message": "a", "details": [{"message": "no right (request: &Attributes{Verb:list})"}]}',
                "no right",
            ),
            ('{"code": 13, "message": "a: b", "details": [{"message": "Internal Server Error"}]}', "a: b"),
            ('{"code": 13, "message": "Internal error: a\\ngithub.com/x\\n\\t/go/x.go:1"}', "Internal error: a"),
            ('{"error_message": "no", "error_details": "no\\ngithub.com/x"}', "no"),
            ('{"other": 1}', '{"other": 1}'),
            ("upstream\n  connect error", "upstream connect error"),
            ("[1]", "[1]"),
        ],
    )
    def test_they_are_what_is_meant_for_people(self, body, words):
        assert message_of(body) == words

    def test_of_uploads_too(self, api, kubeflow, package):
        api.refused = {"pipelines/upload_version": [500]}
        with pytest.raises(CompressorError, match="responds with 500 to package [^{]*: as it was told$"):
            submitted(kubeflow, package)


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
            f"the proxy {proxy.url} responds with {status} instead of {self.HOST}: check the proxy, or name "
            "kubeflow.example.org in no_proxy if it is reachable without a proxy. "
            "It says: <html>Blocked by policy</html>"
        )

    def test_nor_is_a_later_one(self, proxy):
        kubeflow = Kubeflow(self.HOST)
        proxy.status = 403
        with pytest.raises(CompressorError, match=f"^the proxy {proxy.url} responds with 403 instead of"):
            kubeflow.schedules()

    def test_kubeflow_s_own_refusal_is_not_taken_for_its(self, api, proxy):
        kubeflow = Kubeflow(self.HOST)
        api.answers_with = 403
        with pytest.raises(CompressorError, match=f"^{self.HOST} refuses: you lack permission"):
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
        monkeypatch.setattr(kfp_hooks, "PATIENCE", 0.5)
        with pytest.raises(CompressorError, match=rf"^{host} cannot be reached through the proxy {silent.url} \("):
            Kubeflow(host)
        silent.close()
