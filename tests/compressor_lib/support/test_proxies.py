from __future__ import annotations

import json
import os

import pytest
import requests
import urllib3
from proxies import Proxy, Silent, set_proxy

from compressor_lib.support import proxies
from compressor_lib.support.proxies import exempt_loopback, is_proxy_response, open_here, proxy_for, reason, via

OUT = "http://p:3128"


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxy"),
    [
        ("http://kubeflow.example.org/x", "", OUT),
        ("https://kubeflow.example.org:8443", "", OUT),
        ("http://127.0.0.1:8501/v1", "", None),
        ("http://127.8.0.1", "", None),
        ("http://[::1]:8888", "", None),
        ("http://localhost:8888", "", None),
        ("http://me.localhost", "", None),
        ("http://kubeflow.example.org", "example.org", None),
        ("http://kubeflow.example.org", "other.org", OUT),
        ("http://kubeflow.example.org", "*", None),
        ("http://10.1.2.3:80", "10.1.0.0/16", None),
        ("http://10.2.2.3:80", "10.1.0.0/16, example.org", OUT),
    ],
)
def test_proxies_of_the_environment_are_used_except_for_loopback(monkeypatch, url, no_proxy, proxy):
    set_proxy(monkeypatch, "p:3128", no_proxy=no_proxy)
    assert proxy_for(url) == proxy


def test_no_proxy_without_settings(monkeypatch):
    set_proxy(monkeypatch, "")
    assert proxy_for("http://kubeflow.example.org") is None
    assert via("http://kubeflow.example.org") == ""


def test_all_proxy_is_the_fallback(monkeypatch):
    set_proxy(monkeypatch, "", all_proxy="http://all:1")
    assert proxy_for("http://kubeflow.example.org") == "http://all:1"


def test_credentials_are_not_shown(monkeypatch):
    set_proxy(monkeypatch, "http://me:pa%40ss@p:3128")
    assert via("http://host") == " through the proxy http://p:3128"
    assert proxies.proxy_headers("http://host") == {"proxy-authorization": "Basic bWU6cGFAc3M="}
    assert proxies.proxy_headers("http://localhost") == {}


class TestThisMachine:
    @pytest.fixture(params=[lambda: Proxy(status=403), Silent])
    def proxy(self, request):
        proxy = request.param()
        yield proxy
        proxy.close()

    def test_loopback_is_opened_without_a_proxy(self, monkeypatch, proxy):
        behind = Proxy(status=200)
        set_proxy(monkeypatch, proxy.url)
        with open_here(f"{behind.url}/a", b"question", timeout=5) as answer:
            assert answer.status == 200
        behind.close()
        assert behind.asked == ["POST /a"]
        assert getattr(proxy, "asked", []) == []


@pytest.mark.parametrize(
    ("known", "named"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("example.org, 127.0.0.1", "example.org,127.0.0.1,localhost,::1"),
        ("*", "*"),
    ],
)
def test_loopback_is_added_to_no_proxy(monkeypatch, known, named):
    set_proxy(monkeypatch, OUT, no_proxy=known)
    exempt_loopback()
    exempt_loopback()
    assert os.environ["no_proxy"] == named
    assert requests.utils.get_environ_proxies("http://127.0.0.1:9000") == {}


@pytest.mark.parametrize(
    ("url", "status", "body", "is_its"),
    [
        ("http://host", 403, "<html>Blocked</html>", True),
        ("http://host", 503, "", True),
        ("http://host", 407, "{}", True),
        ("http://host", 403, json.dumps({"error": "no"}), False),
        ("http://host", 403, "RBAC: access denied", False),
        ("http://host", 200, "<html>", False),
        ("https://host", 403, "<html>Blocked</html>", False),
        ("http://127.0.0.1", 403, "<html>Blocked</html>", False),
    ],
)
def test_proxy_response_is_recognised(monkeypatch, url, status, body, is_its):
    set_proxy(monkeypatch, OUT)
    assert is_proxy_response(url, status, body) is is_its


def test_innermost_reason_is_returned(monkeypatch):
    proxy = Proxy(status=403)
    set_proxy(monkeypatch, proxy.url)
    with pytest.raises(requests.exceptions.ProxyError) as refused:
        requests.get("https://host.example.org", timeout=5)
    assert "403 Forbidden" in reason(refused.value)
    assert "object at" not in reason(refused.value)
    proxy.close()
    with pytest.raises(requests.exceptions.ProxyError) as refused:
        requests.get("https://host.example.org", timeout=5)
    assert reason(refused.value).endswith("Connection refused")
    with pytest.raises(urllib3.exceptions.HTTPError) as refused:
        urllib3.ProxyManager(proxy.url).request("GET", "http://host.example.org", retries=False, timeout=5)
    assert reason(refused.value).endswith("Connection refused")
