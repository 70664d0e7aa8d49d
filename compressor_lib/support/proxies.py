"""The one rule for proxies: the environment's are taken, as ever, but never to this machine itself.

``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` are read as Python's standard library reads them. Many
libraries send ``http://127.0.0.1`` through a proxy unless ``no_proxy`` names it, which no proxy can answer rightly.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import urllib.request
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from compressor_lib.support.redaction import redact

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""How this machine calls itself."""


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_for(url: str) -> str | None:
    """The proxy that a URL is asked through; None: none."""
    parts = urlsplit(url)
    if is_loopback(url) or _is_excepted(parts.netloc.rpartition("@")[2], parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def via(url: str) -> str:
    """Names the proxy that a URL is asked through, for messages: " through the proxy ..."; empty if there is none."""
    proxy = proxy_for(url)
    return f" through the proxy {_shown(proxy)}" if proxy else ""


def without_proxy(url: str) -> str:
    """How to go without the proxy, for messages: a half-sentence."""
    return f"name {urlsplit(url).hostname} in no_proxy if it can be reached without"


def is_proxys(url: str, status: int, body: str) -> bool:
    """Whether a refusal is a proxy's own, where the host answers in JSON.

    Args:
        url: What was asked.
        status: Of the answer.
        body: Its text. Behind ``https://`` only the host can have written it.
    """
    if status < 400 or urlsplit(url).scheme != "http" or proxy_for(url) is None:
        return False
    return status == 407 or not (body.lstrip().startswith("{") or body.startswith("RBAC: "))  # the latter is Istio's


def reason(error: BaseException) -> str:
    """The innermost message of a client's error, in one line: what wraps it names objects of the client."""
    while True:
        told = (getattr(error, "reason", None), *reversed(error.args))
        inner = next((one for one in told if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    said = next((one for one in reversed(error.args) if isinstance(one, str)), str(error))
    return redact(" ".join(said.split()).rpartition(">: ")[2])[:200]


def proxy_headers(url: str) -> dict[str, str]:
    """What a proxy wants to see, by its user and password in the environment, for clients that do not look there."""
    parts = urlsplit(proxy_for(url) or "")
    if parts.username is None:
        return {}
    who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"proxy-authorization": f"Basic {base64.b64encode(who.encode()).decode()}"}


def open_here(url: str, data: bytes | None = None, *, timeout: float) -> Any:
    """Asks this machine itself, as :func:`urllib.request.urlopen` does, through no proxy."""
    return _DIRECT.open(url, data, timeout)


def exempt_loopback() -> None:
    """Lets ``no_proxy`` name this machine, for libraries and processes that know it alone."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if known.strip() == "*":
        return
    names = [name.strip() for name in known.split(",") if name.strip()]
    names += [name for name in LOOPBACK if name not in names]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(names)


def _is_excepted(netloc: str, host: str) -> bool:
    """Whether ``no_proxy`` names a host, by name or by a network, as ``requests`` takes it."""
    if urllib.request.proxy_bypass(netloc):
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        for name in urllib.request.getproxies().get("no", "").split(","):
            with suppress(ValueError):
                if address in ipaddress.ip_network(name.strip(), strict=False):
                    return True
    return False


def _shown(proxy: str) -> str:
    """A proxy without who may use it."""
    parts = urlsplit(proxy)
    return redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
